package scenario

import (
	"embed"
	"fmt"
	"os"
	"strings"
)

//go:embed presets/*.yaml
var presets embed.FS

// Load reads a scenario from a file, or from those built in: preset:draw, show, enter, night.
func Load(name string, vars map[string][]string) (*Program, error) {
	var text []byte
	var err error
	if preset, ok := strings.CutPrefix(name, "preset:"); ok {
		if text, err = presets.ReadFile("presets/" + preset + ".yaml"); err != nil {
			return nil, fmt.Errorf("%w: no preset %q; there are draw, show, enter and night", ErrInvalid, preset)
		}
	} else if text, err = os.ReadFile(name); err != nil {
		return nil, fmt.Errorf("scenario: %w", err)
	}
	p, err := Parse(text, vars)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}
