package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// Schema is the version of Result's JSON. A reader refuses another one.
const Schema = "sluice.bench/1"

// ErrSchema is returned for JSON that is not a result of this version.
var ErrSchema = errors.New("not a result of schema " + Schema)

// Result is one run, or several merged.
type Result struct {
	Schema   string            `json:"schema"`
	Started  time.Time         `json:"started"`
	Targets  []string          `json:"targets"`
	Scenario string            `json:"scenario"`
	Arrivals string            `json:"arrivals"` // the curve, or "closed:connections=N"
	Workers  int               `json:"workers"`  // processes merged
	Seconds  float64           `json:"seconds"`  // measured, without run-up
	Planned  float64           `json:"planned"`  // arrivals that the curve asked for; 0 when closed
	Labels   map[string]string `json:"labels,omitempty"`

	UsersArrived int64            `json:"users_arrived"`
	Dropped      int64            `json:"dropped"` // arrivals the generator could not hold
	Connects     int64            `json:"connects"`
	Requests     int64            `json:"requests"`
	Rate         float64          `json:"rate"`       // requests a second
	Errors       int64            `json:"errors"`     // no answer, or an unexpected one
	ErrorRate    float64          `json:"error_rate"` // errors / requests
	Failures     map[string]int64 `json:"failures"`   // timeout, connect, broken, unexpected
	Statuses     map[string]int64 `json:"statuses"`
	Outcomes     map[string]int64 `json:"outcomes"`
	Bytes        int64            `json:"bytes"` // of bodies

	Latency Quantiles `json:"latency"` // intended to done
	Service Quantiles `json:"service"` // sent to done
	Lag     Quantiles `json:"lag"`     // intended to taken up: the generator's own
	Wait    Quantiles `json:"wait"`    // for a free connection

	Steps     []Step     `json:"steps"`
	Series    []Point    `json:"series"`
	WidthMS   int64      `json:"width_ms"`
	Generator Generator  `json:"generator"`
	Server    *ServerUse `json:"server,omitempty"`

	Valid      bool        `json:"valid"`
	Invalid    []string    `json:"invalid,omitempty"` // why not
	Objectives []Objective `json:"objectives,omitempty"`
	FindMax    *FindMax    `json:"find_max,omitempty"`
	Baseline   *Comparison `json:"baseline,omitempty"`
	Rehearsal  *Rehearsal  `json:"rehearsal,omitempty"`
}

// Quantiles sums up a histogram, in microseconds, and carries it whole.
type Quantiles struct {
	Mean  float64 `json:"mean_us"`
	P50   float64 `json:"p50_us"`
	P90   float64 `json:"p90_us"`
	P99   float64 `json:"p99_us"`
	P999  float64 `json:"p999_us"`
	P9999 float64 `json:"p9999_us"`
	Max   float64 `json:"max_us"`
	Hist  string  `json:"hist,omitempty"`

	h *hdr.Histogram
}

// Step is one kind of request of the scenario.
type Step struct {
	Name       string           `json:"name"`
	Requests   int64            `json:"requests"`
	Unexpected int64            `json:"unexpected"`
	Statuses   map[string]int64 `json:"statuses"`
	Outcomes   map[string]int64 `json:"outcomes"`
	Failures   map[string]int64 `json:"failures"`
	Latency    Quantiles        `json:"latency"`
	SizeMean   float64          `json:"size_mean"`
	SizeP99    int64            `json:"size_p99"`
	SizeMax    int64            `json:"size_max"`
	SizeHist   string           `json:"size_hist"`
}

// Point is one interval of the run, by intended time.
type Point struct {
	At     float64 `json:"at"` // seconds since the measured part began
	Count  int64   `json:"count"`
	Errors int64   `json:"errors"`
	P50    float64 `json:"p50_us"`
	P99    float64 `json:"p99_us"`
	Max    float64 `json:"max_us"`
	LagMax float64 `json:"lag_max_us"`
	Hist   string  `json:"hist"`
}

// Generator is what the load cost its own machine.
type Generator struct {
	CPUSeconds   float64 `json:"cpu_seconds"`
	CPUMicrosReq float64 `json:"cpu_us_per_request"`
	Loops        int     `json:"loops"`
}

// ServerUse is the CPU of the measured processes, when --server-pid names them.
type ServerUse struct {
	CPUSeconds   float64 `json:"cpu_seconds"`
	CPUMicrosReq float64 `json:"cpu_us_per_request"`
	ReqPerCPUSec float64 `json:"requests_per_cpu_second"`
}

// Objective is one clause of --slo and how it went.
type Objective struct {
	Text  string  `json:"text"`
	Value float64 `json:"value"` // microseconds, a share of 1, or a rate
	Held  bool    `json:"held"`
}

// FindMax is the search for the highest rate that holds the objectives.
type FindMax struct {
	Rate   float64 `json:"rate"` // held in the long run
	Low    float64 `json:"low"`  // error bar: held again and again
	High   float64 `json:"high"` // error bar: first rate that failed
	Limit  string  `json:"limit"`
	Trials []Trial `json:"trials"`
}

// Trial is one run of a search.
type Trial struct {
	Rate    float64 `json:"rate"`
	Seconds float64 `json:"seconds"`
	Phase   string  `json:"phase"`
	Held    bool    `json:"held"`
	Valid   bool    `json:"valid"`
	P99     float64 `json:"p99_us"`
	Errors  float64 `json:"error_rate"`
	Why     string  `json:"why,omitempty"`
}

// Comparison is a run against its baseline.
type Comparison struct {
	File    string   `json:"file"`
	Worse   bool     `json:"worse"`
	Details []string `json:"details"`
}

// Rehearsal says what a rehearsal funded and whether all of it was closed again.
type Rehearsal struct {
	Prefix   string   `json:"prefix"`
	Funded   int      `json:"funded"`
	FundedID []string `json:"funded_ids,omitempty"`
	Fen      int64    `json:"fen"`
	Closed   int      `json:"closed"`
	Left     []string `json:"left,omitempty"` // ids that could not be closed
}

// Read reads a result from a file.
func Read(path string) (*Result, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	r, err := Decode(b)
	if err != nil {
		return nil, fmt.Errorf("%w, in %s", err, path)
	}
	return r, nil
}

// Decode reads a result and its histograms.
func Decode(b []byte) (*Result, error) {
	var r Result
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("record: %w: %w", ErrSchema, err)
	}
	if r.Schema != Schema {
		return nil, fmt.Errorf("record: %w: it says %q", ErrSchema, r.Schema)
	}
	if err := r.histograms(); err != nil {
		return nil, err
	}
	return &r, nil
}

// histograms decodes all of them: one that cannot be read must not pass for one that is empty.
func (r *Result) histograms() error {
	all := []*Quantiles{&r.Latency, &r.Service, &r.Lag, &r.Wait}
	for i := range r.Steps {
		all = append(all, &r.Steps[i].Latency)
	}
	for _, q := range all {
		if _, err := q.Histogram(); err != nil {
			return err
		}
	}
	for i := range r.Series {
		if _, err := decode(r.Series[i].Hist, 2); err != nil {
			return err
		}
	}
	for i := range r.Steps {
		if _, err := decode(r.Steps[i].SizeHist, 2); err != nil {
			return err
		}
	}
	return nil
}

// Write writes the result as JSON.
func (r *Result) Write(path string) error {
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	if err := os.WriteFile(path, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	return nil
}
