package certbus

import (
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"edgerouter/bus"
	"edgerouter/certs"
)

// state is what the stream adds up to: for each Id the latest event, and those
// before it for as long as it is not known to be good. It is a bus.State, and
// belongs to the follower's goroutine. It holds ciphertext; what was decrypted
// is beside it and never in a snapshot.
type state struct {
	keys    keyring
	ids     map[string]*timeline
	counts  map[string]int // entries of each type that were applied; "foreign" and "unreadable" too
	trouble []string       // events that could not be read, the last few
}

// keyring holds the client's keys by fingerprint.
type keyring map[string]*rsa.PrivateKey

// timeline is one Id.
type timeline struct {
	// events are newest first. More than one: the newest is not known to be good,
	// or is not valid yet.
	events []*obtained
}

// obtained is one event of an Id and what became of it.
type obtained struct {
	Rank  int64 // counts the events of the stream
	Event Obtained

	cert *certs.Certificate // nil: not decrypted yet, or err
	err  error
}

const (
	// maxHistory bounds the events that an Id keeps: the latest, and the last good ones.
	maxHistory = 4
	// maxTrouble bounds what is remembered of events that cannot be read.
	maxTrouble = 20
)

// Snapshot format.
type (
	savedState struct {
		Format int
		IDs    map[string][]*obtained
	}
)

const stateFormat = 1

// Restore implements bus.State.
func (s *state) Restore(snapshot []byte) error {
	old := s.ids
	s.ids, s.counts, s.trouble = map[string]*timeline{}, map[string]int{}, nil
	if snapshot == nil {
		return nil
	}
	var saved savedState
	if err := json.Unmarshal(snapshot, &saved); err != nil || saved.Format != stateFormat {
		s.ids = old
		return fmt.Errorf("the snapshot of certificates is of format %d, not %d (%v)", saved.Format, stateFormat, err)
	}
	for id, events := range saved.IDs {
		s.ids[id] = &timeline{events: events}
	}
	return nil
}

// Snapshot implements bus.State.
func (s *state) Snapshot() ([]byte, error) {
	saved := savedState{Format: stateFormat, IDs: map[string][]*obtained{}}
	for id, t := range s.ids {
		saved.IDs[id] = t.events
	}
	return json.Marshal(saved)
}

// Apply implements bus.State.
func (s *state) Apply(e bus.Entry) {
	for i, text := range e.Events {
		event, err := bus.ParseEvent(text)
		if err != nil {
			s.unreadable(e, err)
			continue
		}
		s.counts[knownType(event.Type)]++
		switch event.Type {
		case TypeObtained:
			o, err := parseObtained(event.Data)
			if err != nil {
				s.unreadable(e, err)
				continue
			}
			s.obtained(&obtained{Rank: e.Version<<16 | int64(i), Event: o})
		case TypeRemoved:
			r, err := parseRemoved(event.Data)
			if err != nil {
				s.unreadable(e, err)
				continue
			}
			delete(s.ids, r.ID)
		}
	}
}

// knownType bounds what is counted.
func knownType(t string) string {
	if t == TypeObtained || t == TypeRemoved || t == TypeConfigUpdated {
		return t
	}
	return "other"
}

func (s *state) unreadable(e bus.Entry, err error) {
	s.counts["unreadable"]++
	s.trouble = append(s.trouble, fmt.Sprintf("version %d of %s: %v", e.Version, e.Stream, err))
	s.trouble = s.trouble[max(0, len(s.trouble)-maxTrouble):]
}

// obtained takes an event into its Id's timeline. One that is encrypted for
// another key ends the Id as far as this node goes.
func (s *state) obtained(o *obtained) {
	if s.keys[o.Event.PrivateKeyDekFingerprint] == nil {
		s.counts["foreign"]++
		delete(s.ids, o.Event.ID)
		return
	}
	t := s.ids[o.Event.ID]
	if t == nil {
		t = &timeline{}
		s.ids[o.Event.ID] = t
	}
	t.events = slices.DeleteFunc(t.events, func(old *obtained) bool { return old.err != nil })
	t.events = append([]*obtained{o}, t.events[:min(len(t.events), maxHistory-1)]...)
}

// collect lists what is served, by Id, and what is wrong. Everything that can be
// decrypted has been.
func (s *state) collect(now time.Time) (list []*certs.Certificate, problems []certs.Problem) {
	for _, id := range slices.Sorted(maps.Keys(s.ids)) {
		t := s.ids[id]
		var served []*certs.Certificate
		for i, o := range t.events {
			if o.err != nil {
				continue
			}
			served = append(served, o.cert)
			if o.cert.ValidAt(now) {
				t.events = t.events[:i+1] // what is older is of no use any more
				break
			}
		}
		list = append(list, served...)
		if newest := t.events[0]; newest.err != nil {
			problems = append(problems, certs.Problem{Message: newest.tell(id, len(served) > 0)})
		}
		if len(served) > 0 {
			for _, complaint := range append(served[0].Complaints(now), t.events[0].mismatch()...) {
				problems = append(problems, certs.Problem{Message: fmt.Sprintf("CertBus Id %s: %s", id, complaint)})
			}
		}
	}
	for _, text := range s.trouble {
		problems = append(problems, certs.Problem{Message: "CertBus: an event cannot be read and is passed over: " + text})
	}
	return list, problems
}

// pending are the events that have not been decrypted yet.
func (s *state) pending() (out []*obtained) {
	for _, t := range s.ids {
		for _, o := range t.events {
			if o.cert == nil && o.err == nil {
				out = append(out, o)
			}
		}
	}
	return out
}

// open decrypts one event; it may run beside others.
func (o *obtained) open(keys keyring) {
	c, err := o.Event.decrypt(keys)
	if err != nil {
		o.err = err
		return
	}
	c.Origin, c.Rank = "CertBus Id "+o.Event.ID, o.Rank
	o.cert = c
}

// tell says what is wrong with an event, whom it concerns and what to do.
func (o *obtained) tell(id string, kept bool) string {
	text := fmt.Sprintf("CertBus Id %s (%s): %v; let CertBus issue it again, or write a good one with edgerouter cert put --id %s", id, domains(o.Event.Domains), o.err, id)
	if kept {
		text += "; the certificate that it had before stays in service"
	}
	return text
}

// mismatch says which names the event promises and the certificate has not.
func (o *obtained) mismatch() []string {
	if o.cert == nil {
		return nil
	}
	var missing []string
	for _, d := range o.Event.Domains {
		if !slices.Contains(o.cert.Names, strings.TrimSuffix(strings.ToLower(d), ".")) {
			missing = append(missing, certs.Clean(d))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("the event names %s, which the certificate does not have: it is served for the names in the certificate", domains(missing))}
}

func domains(list []string) string {
	if len(list) == 0 {
		return "no names"
	}
	clean := make([]string, min(len(list), 5))
	for i := range clean {
		clean[i] = certs.Clean(list[i])
	}
	text := strings.Join(clean, ", ")
	if more := len(list) - len(clean); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
