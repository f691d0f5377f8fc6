package docker

import (
	"context"
	"time"
)

// ask asks the engine for everything that is wanted, in a goroutine.
func (v *session) ask(ctx context.Context, now time.Time) {
	w := v.want
	v.want = wants{}
	v.askAt = now.Add(v.asks.ReserveN(now, 1).DelayFrom(now))
	v.asking = true
	clear(v.touched)
	if v.manager == managerNo && !w.services {
		w.tasks, w.nodes = false, false
	}
	w.gateway = w.gateway && v.build.wantsGateway()
	manager := v.manager == managerYes
	v.running.Go(func() {
		a := v.engine.answer(ctx, w, manager)
		select {
		case v.answers <- a:
		case <-ctx.Done():
		}
	})
}

// take takes the engine's answers in.
func (v *session) take(a answers, now time.Time) {
	if a.err != nil {
		v.again(a, now)
		return
	}
	w := a.asked
	switch {
	case w.all:
		v.state.replace(a.containers, v.touched)
	case len(w.ids) > 0:
		there := map[string]bool{}
		for _, c := range a.containers {
			there[c.id] = true
			if !v.touched[c.id] {
				v.state.put(c)
			}
		}
		for id := range w.ids {
			if !there[id] && !v.touched[id] {
				delete(v.state.containers, id)
			}
		}
	}
	// What happened meanwhile may be older or newer than the answer.
	for id := range v.touched {
		if (w.all || w.ids[id]) && v.state.containers[id] == nil {
			v.want.list(id)
		}
	}
	if a.gateway != nil {
		v.state.gateway = a.gateway
	}
	for id, d := range a.details {
		if t := v.state.containers[id]; t != nil {
			t.learn(d, now)
		}
	}
	v.swarm(a, now)
	v.listed = true
	v.touch()
}

// again has the same asked once more, after a pause.
func (v *session) again(a answers, now time.Time) {
	w := a.asked
	v.want.all = v.want.all || w.all
	v.want.list(sortedKeys(w.ids)...)
	for id := range w.inspect {
		v.want.look(id)
	}
	v.want.services = v.want.services || w.services
	v.want.tasks = v.want.tasks || w.tasks
	v.want.nodes = v.want.nodes || w.nodes
	v.want.gateway = v.want.gateway || w.gateway
	v.askAt = now.Add(askAgain)
	v.failing = true
	v.fail(a.err, v.emit)
}

// swarm takes in what a manager said, and decides when it is asked again.
func (v *session) swarm(a answers, now time.Time) {
	if a.noSwarm != "" {
		if v.manager != managerNo {
			v.log.Info().Str("engine", v.at.shown).Msg(a.noSwarm + ": containers only")
			v.state.leaveSwarm()
		}
		v.manager, v.tasksAt = managerNo, time.Time{}
		return
	}
	if a.asked.services {
		if v.manager != managerYes {
			v.log.Info().Str("engine", v.at.shown).Int("services", len(a.services)).Msg("the engine is a manager of a Swarm: its services are watched")
			v.manager = managerYes
			if a.nodes == nil {
				v.want.nodes = true
			}
		}
		v.state.services, v.state.noManager = a.services, false
	}
	if a.nodes != nil {
		v.state.nodes = a.nodes
	}
	if !a.asked.tasks && !a.asked.services {
		return
	}
	v.state.setTasks(a.tasks)
	wait := tasksQuiet
	switch {
	case v.soon < len(tasksSoon):
		wait = tasksSoon[v.soon]
		v.soon++
	case v.state.converging(v.build.serves):
		if v.since.IsZero() {
			v.since = now
		}
		if now.Sub(v.since) < tooLong {
			wait = tasksConverging
		}
	default:
		v.since = time.Time{}
	}
	v.tasksAt = now.Add(wait)
}
