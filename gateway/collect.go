package gateway

import (
	"github.com/prometheus/client_golang/prometheus"

	"sluice/gateway/site"
)

// registerRuntime exports what the runtime, the script store and the admission
// gate count by themselves.
func registerRuntime(reg prometheus.Registerer, g *Gateway) {
	gauge := func(name, help string, f func() float64) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f))
	}
	counter := func(name, help string, f func() float64) {
		reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, f))
	}
	gauge("sluice_vms", "Lua VMs alive.", func() float64 { return float64(g.runtime.Stats().VMs) })
	gauge("sluice_vms_in_use", "Lua VMs serving a request.", func() float64 { return float64(g.runtime.Stats().InUse) })
	counter("sluice_vms_discarded_total", "VMs thrown away after a breach or a panic.", func() float64 { return float64(g.runtime.Stats().Discarded) })
	counter("sluice_vm_waits_total", "Requests that had to wait for a VM.", func() float64 { return float64(g.runtime.Stats().Waits) })
	counter("sluice_vm_wait_failures_total", "Requests that got no VM in time.", func() float64 { return float64(g.runtime.Stats().WaitFailed) })
	counter("sluice_vm_wait_seconds_total", "Time requests waited for a VM.", func() float64 { return g.runtime.Stats().Waited.Seconds() })
	counter("sluice_script_reloads_total", "Bundles that went live.", func() float64 { ok, _ := g.scripts.Reloads(); return float64(ok) })
	counter("sluice_script_reload_failures_total", "Bundles that were refused.", func() float64 { _, failed := g.scripts.Reloads(); return float64(failed) })
	gauge("sluice_script_last_reload_failed", "1 while what stands on disk is not what is live.", func() float64 {
		if g.scripts.LastError() != nil {
			return 1
		}
		return 0
	})
	gauge("sluice_routes_off", "Routes whose kill switch is off.", func() float64 {
		off := 0
		for _, r := range g.scripts.Live().(*site.Site).Table.Routes {
			if !r.On() {
				off++
			}
		}
		return float64(off)
	})
	gauge("sluice_requests_in_flight", "Requests worked on now.", func() float64 { return float64(g.gate.Stats().InFlight) })
	counter("sluice_admission_shed_total", "Requests told \"later\" by admission.", func() float64 { return float64(g.gate.Stats().Shed) })
	gauge("sluice_admission_admitted_ratio", "Part of the users that admission lets in.", func() float64 { return g.gate.Stats().Admitted })
	gauge("sluice_queue_wait_seconds", "Last sample of the time a ready goroutine waits.", func() float64 { return g.gate.Stats().Wait.Seconds() })
}
