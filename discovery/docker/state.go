package docker

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The labels that the engine and Compose put on containers.
const (
	composeProject = "com.docker.compose.project"
	stackNamespace = "com.docker.stack.namespace"
	composeService = "com.docker.compose.service"
	composeOneOff  = "com.docker.compose.oneoff"
	swarmService   = "com.docker.swarm.service.name"
	swarmServiceID = "com.docker.swarm.service.id"
	swarmTask      = "com.docker.swarm.task.id"
)

// tracked is what is known of one container: what the engine listed, and what
// its events said since.
type tracked struct {
	*container
	details *details
	// draining is since when it has its stop signal; zero: it has none.
	draining time.Time
	// signal is one that may be the stop signal; 0: none. Inspecting tells.
	signal int
	read   *reading // its labels, compiled
}

// state is the engine's, as far as it is known.
type state struct {
	containers map[string]*tracked
	services   []*service
	tasks      map[string][]*task // by service, those that should run
	nodes      map[string]node
	gateway    map[string]addresses
	here       string
	engine     string
	// dead are containers of tasks that have died, which the Swarm's manager says
	// later. Nothing is kept of them where there is no manager.
	dead      map[string]bool
	noManager bool
}

func newState() *state {
	return &state{containers: map[string]*tracked{}, dead: map[string]bool{}}
}

func (s *state) container(id string) *container {
	if t := s.containers[id]; t != nil {
		return t.container
	}
	return nil
}

// put takes what the engine listed of a container; false: it is nothing new.
func (s *state) put(c *container) bool {
	t := s.containers[c.id]
	if t == nil {
		s.containers[c.id] = &tracked{container: c}
		return true
	}
	if t.container.equal(c) {
		return false
	}
	if !maps.Equal(t.labels, c.labels) || t.name != c.name {
		t.read = nil
	}
	t.container = c
	return true
}

// replace takes a whole list. Those in keep are left as they are: something
// happened to them after the engine was asked.
func (s *state) replace(list []*container, keep map[string]bool) {
	there := make(map[string]bool, len(list))
	for _, c := range list {
		there[c.id] = true
		if !keep[c.id] {
			s.put(c)
		}
	}
	for id := range s.containers {
		if !there[id] && !keep[id] {
			delete(s.containers, id)
		}
	}
}

// undrain forgets stop signals: of a container that was started again while
// nobody listened nothing tells that they are of the past.
func (s *state) undrain() {
	for _, t := range s.containers {
		t.draining, t.signal = time.Time{}, 0
	}
	clear(s.dead)
}

func (s *state) setTasks(list []*task) {
	s.tasks = map[string][]*task{}
	known := make(map[string]bool, len(list))
	for _, t := range list {
		s.tasks[t.service] = append(s.tasks[t.service], t)
		known[t.container] = true
	}
	maps.DeleteFunc(s.dead, func(id string, _ bool) bool { return !known[id] })
}

// leaveSwarm forgets what a manager knew.
func (s *state) leaveSwarm() {
	s.services, s.tasks, s.nodes, s.noManager = nil, nil, nil, true
	clear(s.dead)
}

// effect is what an event asks for.
type effect struct {
	changed bool     // what is known has changed
	leaves  bool     // in that the container takes no more requests
	list    []string // containers to be listed again
	inspect string   // container to be inspected
	gateway bool     // the addresses on docker_gwbridge have changed
	swarm   bool     // services, tasks
	nodes   bool
	task    bool // a task of this node has changed; the manager hears of it soon
}

// apply takes an event in.
func (s *state) apply(e event, now time.Time) effect {
	switch e.kind {
	case "container":
		return s.containerEvent(e, now)
	case "network":
		if id := e.attributes["container"]; id != "" && (e.action == "connect" || e.action == "disconnect") {
			f := effect{gateway: e.attributes["name"] == GatewayNetwork}
			if s.containers[id] != nil {
				f.list = []string{id}
			}
			return f
		}
	case "service":
		switch e.action {
		case "create", "update", "remove":
			return effect{swarm: true}
		}
	case "node":
		return effect{swarm: true, nodes: true}
	}
	return effect{}
}

func (s *state) containerEvent(e event, now time.Time) effect {
	t := s.containers[e.id]
	ofTask := e.attributes[swarmTask] != ""
	switch action, detail, _ := strings.Cut(e.action, ":"); action {
	case "start":
		if t != nil {
			t.draining, t.signal = time.Time{}, 0
		}
		delete(s.dead, e.id)
		return effect{list: []string{e.id}, gateway: true, task: ofTask}
	case "die", "stop":
		if ofTask && !s.noManager {
			s.dead[e.id] = true
		}
		delete(s.containers, e.id)
		return effect{changed: t != nil || ofTask, leaves: true, gateway: true, task: ofTask}
	case "kill":
		if t != nil {
			return t.signalled(e.attributes["signal"], now)
		}
	case "pause", "unpause":
		if t != nil {
			c := *t.container
			c.paused = action == "pause"
			t.container = &c
			return effect{changed: true, leaves: c.paused}
		}
	case "health_status":
		if t == nil {
			break
		}
		health := strings.TrimSpace(detail)
		if health != healthy && health != unhealthy {
			return effect{list: []string{e.id}, task: ofTask}
		}
		if t.health == health {
			break
		}
		c := *t.container
		c.health = health
		t.container = &c
		return effect{changed: true, leaves: health == unhealthy, task: ofTask}
	case "rename":
		if t != nil {
			return effect{list: []string{e.id}}
		}
	}
	return effect{}
}

const (
	signalKill = 9
	signalTerm = 15
)

// oftenStops says whether a signal is nearly always a container's stop signal:
// SIGINT, SIGQUIT (nginx), SIGTERM, SIGRTMIN+3 (systemd).
func oftenStops(signal int) bool {
	switch signal {
	case 2, 3, signalTerm, 37:
		return true
	}
	return false
}

// signalled is told that the container got a signal. Its stop signal is where
// draining starts; SIGKILL is the end whatever the stop signal is.
func (t *tracked) signalled(text string, now time.Time) effect {
	signal := parseSignal(text)
	if signal == 0 || !t.draining.IsZero() {
		return effect{}
	}
	switch {
	case signal == signalKill:
	case t.details == nil:
		t.signal = signal
		// Waiting for the engine to say what the stop signal is would cost requests.
		// When it was another one, inspecting puts the container back.
		if !oftenStops(signal) {
			return effect{inspect: t.id}
		}
		t.draining = now
		return effect{changed: true, leaves: true, inspect: t.id}
	case signal != t.details.signal():
		return effect{}
	}
	t.draining = now
	return effect{changed: true, leaves: true}
}

// learn takes what inspecting told; true when that changes something.
func (t *tracked) learn(d *details, now time.Time) bool {
	first := t.details == nil
	t.details = d
	if t.signal == 0 {
		return first
	}
	stops := t.signal == d.signal()
	t.signal = 0
	switch {
	case stops && t.draining.IsZero():
		t.draining = now
	case !stops && !t.draining.IsZero():
		t.draining = time.Time{}
	default:
		return first
	}
	return true
}

// signal is the container's stop signal.
func (d *details) signal() int {
	if n := parseSignal(d.stopSignal); n != 0 {
		return n
	}
	return signalTerm
}

// signals are the ones that containers are stopped with, by name (Linux on all
// the architectures that engines run on, but for MIPS).
var signals = map[string]int{
	"HUP": 1, "INT": 2, "QUIT": 3, "ABRT": 6, "KILL": 9, "USR1": 10, "USR2": 12, "ALRM": 14, "TERM": 15,
	"STOP": 19, "TSTP": 20, "WINCH": 28, "PWR": 30, "RTMIN": 34, "RTMAX": 64,
}

// parseSignal reads "15", "SIGTERM", "term" or "SIGRTMIN+3"; 0 for what it does
// not know.
func parseSignal(s string) int {
	if n, err := strconv.Atoi(s); err == nil {
		return max(n, 0)
	}
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	base, offset, plus := strings.Cut(name, "+")
	if !plus {
		if b, o, minus := strings.Cut(name, "-"); minus {
			base, offset = b, "-"+o
		}
	}
	n := signals[base]
	if n == 0 || offset == "" {
		return n
	}
	more, err := strconv.Atoi(offset)
	if err != nil {
		return 0
	}
	return n + more
}

// converging says whether a service that matters is on its way to what it
// should be.
func (s *state) converging(matters func(service string) bool) bool {
	return slices.ContainsFunc(s.services, func(v *service) bool {
		if !matters(v.name) {
			return false
		}
		running := 0
		for _, t := range s.tasks[v.id] {
			if t.state != taskRunning {
				return true
			}
			running++
		}
		return v.updating || v.replicas >= 0 && running != v.replicas
	})
}

const taskRunning = "running"
