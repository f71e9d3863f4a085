package ngx

import "sluice/lua/vm"

// Phase is when a script runs. The values are bits, so that an API function
// can say in one word where it works.
type Phase uint32

// The phases, in the order of a request's life.
const (
	PhaseInit Phase = 1 << iota
	PhaseInitWorker
	PhaseSet
	PhaseServerRewrite
	PhaseRewrite
	PhaseAccess
	PhasePrecontent
	PhaseContent
	PhaseHeaderFilter
	PhaseBodyFilter
	PhaseLog
	PhaseTimer
)

const (
	phasesRun   = PhaseServerRewrite | PhaseRewrite | PhaseAccess | PhasePrecontent | PhaseContent
	phasesWait  = phasesRun | PhaseTimer // where a script may block
	phasesReq   = PhaseSet | phasesRun | PhaseHeaderFilter | PhaseBodyFilter | PhaseLog
	phasesFake  = phasesReq | PhaseTimer | PhaseInitWorker
	phasesFirst = PhaseSet | phasesRun | PhaseHeaderFilter
)

// String is the answer of ngx.get_phase.
func (p Phase) String() string {
	switch p {
	case PhaseInit:
		return "init"
	case PhaseInitWorker:
		return "init_worker"
	case PhaseSet:
		return "set"
	case PhaseServerRewrite:
		return "server_rewrite"
	case PhaseRewrite:
		return "rewrite"
	case PhaseAccess:
		return "access"
	case PhasePrecontent:
		return "precontent"
	case PhaseContent:
		return "content"
	case PhaseHeaderFilter:
		return "header_filter"
	case PhaseBodyFilter:
		return "body_filter"
	case PhaseLog:
		return "log"
	case PhaseTimer:
		return "timer"
	}
	return "unknown"
}

// context is how error messages name the phase.
func (p Phase) context() string {
	if p == PhaseTimer {
		return "ngx.timer"
	}
	return p.String() + "_by_lua*"
}

// need raises OpenResty's error when the current phase is not in allowed, and
// gives the request otherwise.
func need(t *vm.Thread, allowed Phase) *Request {
	r := RequestOf(t)
	if r.phase&allowed == 0 {
		if r.phase == PhaseInit {
			t.Errorf("no request found")
		}
		if allowed == phasesReq { // what nginx asks of these is a connection
			t.Errorf("API disabled in the current context")
		}
		t.Errorf("API disabled in the context of %s", r.phase.context())
	}
	return r
}
