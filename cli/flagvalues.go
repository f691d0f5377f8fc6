package cli

import (
	"fmt"

	"edgerouter/app"
)

// sizeFlag is a flag's value such as 16KiB or 100MB.
type sizeFlag app.Size

// String is the size with its unit.
func (s *sizeFlag) String() string { return app.Size(*s).String() }

// Set parses a size.
func (s *sizeFlag) Set(text string) error {
	v, err := app.ParseSize(text)
	if err == nil {
		*s = sizeFlag(v)
	}
	return err
}

// Type names the value in help texts.
func (*sizeFlag) Type() string { return "size" }

// switchFlag is a flag that is on or off.
type switchFlag struct{ to *bool }

func newSwitch(to *bool) switchFlag { return switchFlag{to} }

// String is on or off.
func (s switchFlag) String() string {
	if s.to != nil && *s.to {
		return "on"
	}
	return "off"
}

// Set takes on and off.
func (s switchFlag) Set(text string) error {
	switch text {
	case "on":
		*s.to = true
	case "off":
		*s.to = false
	default:
		return fmt.Errorf("want on or off")
	}
	return nil
}

// Type names the value in help texts.
func (switchFlag) Type() string { return "on|off" }
