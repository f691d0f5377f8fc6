package upstream

import (
	"sync"
	"testing"
	"time"

	"edgerouter/app"
)

// clockedSet is a set with a clock that only moves when told.
type clockedSet struct {
	*balancer
	now time.Time
}

func clocked(t *testing.T, n int, opts app.PassiveHealth) *clockedSet {
	t.Helper()
	s := &clockedSet{now: time.Unix(1e9, 0)}
	var err error
	s.balancer, err = newBalancer(testPeers(t, n), app.PeerSetOpts{PassiveHealth: &opts}, func() time.Time { return s.now })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *clockedSet) end(i int, o outcome, times int) {
	p := s.peers()[i]
	for range times {
		p.begin()
		p.end(o, 1, s.now.UnixNano())
	}
}

func (s *clockedSet) out(i int) bool { return s.peers()[i].ejected(s.now.UnixNano()) }

// outFor moves the clock until the peer is back and tells how long it took.
func (s *clockedSet) outFor(i int) time.Duration {
	begin := s.now
	for s.out(i) {
		s.now = s.now.Add(time.Second)
	}
	return s.now.Sub(begin)
}

func TestEjectsAfterFailures(t *testing.T) {
	s := clocked(t, 2, app.PassiveHealth{})
	s.end(0, outcomeFailed, 4)
	if s.out(0) {
		t.Error("ejected after 4 failures")
	}
	s.end(0, outcomeOK, 1) // a success between ends the row
	s.end(0, outcomeFailed, 4)
	s.end(0, outcomeCanceled, 100) // that says nothing
	if s.out(0) {
		t.Error("ejected after 4 failures in a row")
	}
	s.end(0, outcomeFailed, 1)
	if !s.out(0) {
		t.Error("not ejected after 5 failures")
	}
	if d := s.outFor(0); d != 5*time.Second {
		t.Errorf("came back after %s", d)
	}
}

func TestWindowSlides(t *testing.T) {
	s := clocked(t, 2, app.PassiveHealth{Failures: 3, Window: app.Duration(10 * time.Second)})
	for range 20 { // two in any ten seconds
		s.end(0, outcomeFailed, 1)
		s.now = s.now.Add(5*time.Second + 1)
	}
	if s.out(0) {
		t.Error("ejected for failures further apart than the window")
	}
	s.end(0, outcomeFailed, 1)
	s.now = s.now.Add(4 * time.Second)
	s.end(0, outcomeFailed, 1)
	if !s.out(0) {
		t.Error("not ejected for 3 failures within 9 s")
	}
}

func TestEjectionDoublesAndIsForgiven(t *testing.T) {
	s := clocked(t, 2, app.PassiveHealth{MaxEject: app.Duration(time.Minute)})
	for i, want := range []time.Duration{5, 10, 20, 40, 60, 60, 60} {
		s.end(0, outcomeFailed, 5)
		if d := s.outFor(0); d != want*time.Second {
			t.Fatalf("ejection %d lasted %s, want %ds", i, d, want)
		}
	}
	// Four past ejections count (5, 10, 20, 40); each window with a success
	// forgives one.
	for _, want := range []time.Duration{40, 20} {
		s.now = s.now.Add(10 * time.Second)
		s.end(0, outcomeOK, 50)
		level := s.peers()[0].record.level
		if got := s.ejector.duration(level); got != want*time.Second {
			t.Errorf("the next would last %s, want %ds", got, want)
		}
	}
	s.now = s.now.Add(time.Hour)
	if s.peers()[0].record.level == 0 {
		t.Error("time alone forgives")
	}
	for range 10 {
		s.end(0, outcomeOK, 1)
		s.now = s.now.Add(11 * time.Second)
	}
	if p := s.peers()[0]; p.record.level != 0 || p.probation.Load() != 0 {
		t.Errorf("level %d after good times", p.record.level)
	}
	s.end(0, outcomeFailed, 5)
	if d := s.outFor(0); d != 5*time.Second {
		t.Errorf("ejected for %s after good times", d)
	}
}

// TestWhileEjected: requests that were under way, or that came because
// the set fails open, neither forgive nor add.
func TestWhileEjected(t *testing.T) {
	s := clocked(t, 2, app.PassiveHealth{})
	s.end(0, outcomeFailed, 5)
	until := s.peers()[0].ejectedUntil.Load()
	s.end(0, outcomeOK, 50)
	s.end(0, outcomeFailed, 50)
	if p := s.peers()[0]; p.ejectedUntil.Load() != until || p.record.level != 1 {
		t.Errorf("level %d", p.record.level)
	}
	s.outFor(0)
	s.end(0, outcomeFailed, 4)
	if s.out(0) {
		t.Error("failures from before were kept")
	}
}

func TestNeverMoreThanHalf(t *testing.T) {
	for n, most := range map[int]int{1: 0, 2: 1, 3: 1, 4: 2, 5: 2, 9: 4, 10: 5} {
		s := clocked(t, n, app.PassiveHealth{})
		for range 3 {
			for i := range n {
				s.end(i, outcomeFailed, 5)
			}
		}
		out := 0
		for i := range n {
			if s.out(i) {
				out++
			}
		}
		if out != most {
			t.Errorf("%d of %d ejected, want %d", out, n, most)
		}
	}
}

// TestHalfOfTheAble: peers that are out anyway are not counted.
func TestHalfOfTheAble(t *testing.T) {
	s := clocked(t, 4, app.PassiveHealth{})
	p := s.peers()
	p[2].setDown("test")
	p[3].setDraining(true)
	s.end(0, outcomeFailed, 5)
	s.end(1, outcomeFailed, 5)
	if !s.out(0) || s.out(1) {
		t.Errorf("%v %v, want only the first of the two that are left", s.out(0), s.out(1))
	}
	s.outFor(0)
	s.end(1, outcomeFailed, 5)
	if !s.out(1) {
		t.Error("the other's turn did not come")
	}
}

func TestPassiveOff(t *testing.T) {
	s := clocked(t, 2, app.PassiveHealth{Off: true})
	s.end(0, outcomeFailed, 1000)
	if s.out(0) || s.peers()[0].status(s.now).Failures != 1000 {
		t.Errorf("%+v", s.peers()[0].status(s.now))
	}
	s.peers()[0].setDown("test")
	s.peers()[0].setUp()
}

func TestUpAgainIsPardoned(t *testing.T) {
	s := clocked(t, 2, app.PassiveHealth{})
	s.end(0, outcomeFailed, 5)
	p := s.peers()[0]
	p.setUp() // it was not down: the checks saw nothing new
	if !s.out(0) {
		t.Fatal("pardoned for nothing")
	}
	p.setDown("test")
	p.setUp()
	if s.out(0) || p.record.level != 0 {
		t.Error("still ejected after it came back")
	}
}

func TestOnEject(t *testing.T) {
	s := clocked(t, 2, app.PassiveHealth{Failures: 2})
	var got []string
	s.ejector.onEject = func(p *peer, d time.Duration, reason string) {
		got = append(got, p.addr.Raw+" "+d.String()+" "+reason)
	}
	s.end(1, outcomeFailed, 9)
	if len(got) != 1 || got[0] != testAddr(1)+" 5s 2 failed requests in a row within 10s" {
		t.Errorf("%q", got)
	}
}

func TestEjectDurationBounds(t *testing.T) {
	e := newEjector(&app.PassiveHealth{Eject: app.Duration(time.Hour), MaxEject: app.Duration(time.Minute)}, nil)
	if d := e.duration(0); d != time.Hour {
		t.Errorf("max_eject below eject: %s", d)
	}
	e = newEjector(&app.PassiveHealth{MaxEject: app.Duration(1<<63 - 1)}, nil)
	if d := e.duration(200); d != 1<<63-1 {
		t.Errorf("overflow: %s", d)
	}
}

// TestHalfUnderRace: the bound holds when all fail at once in many goroutines.
func TestHalfUnderRace(t *testing.T) {
	s := clocked(t, 8, app.PassiveHealth{Failures: 1})
	now := s.now.UnixNano()
	var wg sync.WaitGroup
	for _, p := range s.peers() {
		for range 4 {
			wg.Go(func() {
				for range 50 {
					p.begin()
					p.end(outcomeFailed, 0, now)
				}
			})
		}
	}
	wg.Wait()
	out := 0
	for i := range s.peers() {
		if s.out(i) {
			out++
		}
	}
	if out != 4 {
		t.Errorf("%d of 8 ejected", out)
	}
}

// TestEjectsByShare: failures between successes eject where they are a share of
// enough requests, however many requests there are.
func TestEjectsByShare(t *testing.T) {
	for _, c := range []struct {
		every, requests int // one of so many fails
		opts            app.PassiveHealth
		want            bool
	}{
		{1000, 100_000, app.PassiveHealth{}, false},
		{10, 100_000, app.PassiveHealth{}, false},
		{3, 300, app.PassiveHealth{}, true},
		{2, 18, app.PassiveHealth{}, false}, // too few requests
		{2, 20, app.PassiveHealth{}, true},
		{10, 1000, app.PassiveHealth{Share: 5}, true},
		{2, 1000, app.PassiveHealth{Share: 60}, false},
		{2, 8, app.PassiveHealth{MinRequests: 5, Failures: 3}, true},
	} {
		s := clocked(t, 2, c.opts)
		out := false
		for i := range c.requests {
			if i%c.every == c.every-1 {
				s.end(0, outcomeFailed, 1)
			} else {
				s.end(0, outcomeOK, 1)
			}
			s.now = s.now.Add(time.Millisecond)
			out = out || s.out(0)
		}
		if out != c.want {
			t.Errorf("one of %d fails, %d requests, %+v: ejected is %v", c.every, c.requests, c.opts, out)
		}
	}
}

// TestReturnsAreTold: each ejection has one end, told once.
func TestReturnsAreTold(t *testing.T) {
	s := clocked(t, 2, app.PassiveHealth{})
	n := 0
	s.ejector.onReturn = func(*peer) { n++ }
	for i := range 3 {
		s.end(0, outcomeFailed, 5)
		if st := s.peers()[0].status(s.now); st.Ejections != uint64(i+1) || st.Returns != uint64(i) || n != i {
			t.Errorf("%+v, told %d returns", st, n)
		}
		s.outFor(0)
	}
	s.end(0, outcomeFailed, 5)
	p := s.peers()[0]
	p.setDown("test")
	p.setUp() // pardoned
	if n != 4 || p.status(s.now).Returns != 4 {
		t.Errorf("told %d returns", n)
	}
}
