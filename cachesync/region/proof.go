package region

import (
	"fmt"
	"strings"
)

// Horizons of probes, in the order they are shown.
var Horizons = [...]string{"10ms", "100ms", "1s", "10s", "60s"}

// Proof is what probes saw of a home's writes in one region, by horizon.
type Proof [len(Horizons)]Seen

// Seen counts the probes of one horizon.
type Seen struct {
	Found       int64 `json:"found"`
	Missing     int64 `json:"missing,omitempty"`     // nothing there: not arrived, or evicted
	Older       int64 `json:"older,omitempty"`       // a version from before the write
	Unreachable int64 `json:"unreachable,omitempty"` // nobody answered: proves nothing
}

// Tries are the probes that were answered.
func (s Seen) Tries() int64 { return s.Found + s.Missing + s.Older }

// Share is the share found of those answered, as "99.98%"; "" if none was.
func (s Seen) Share() string {
	if s.Tries() == 0 {
		return ""
	}
	return fmt.Sprintf("%.4g%%", 100*float64(s.Found)/float64(s.Tries()))
}

// String is the share found per horizon: "10ms:99.98% 100ms:100%".
func (p Proof) String() string {
	var out []string
	for i, s := range p {
		if share := s.Share(); share != "" {
			out = append(out, Horizons[i]+":"+share)
		}
	}
	return strings.Join(out, " ")
}
