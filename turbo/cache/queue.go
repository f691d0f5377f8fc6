package cache

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"edgerouter/internal/pace"
	"edgerouter/turbo/content"
)

// The states of an encoding of an object.
const (
	stateUnknown uint32 = iota
	stateQueued         // somebody makes it, or will
	stateReady
	stateUseless // it does not save enough
)

// queue has two lines: what clients wait for, and what can be made better.
type queue struct {
	urgent, later chan func()
	stop          chan struct{}
	once          sync.Once
	running       sync.WaitGroup
}

func newQueue(workers int) *queue {
	q := &queue{urgent: make(chan func(), 4096), later: make(chan func(), 16384), stop: make(chan struct{})}
	for range workers {
		q.running.Go(q.work)
	}
	return q
}

func (q *queue) work() {
	for {
		select {
		case <-q.stop:
			return
		case job := <-q.urgent:
			job()
			continue
		default:
		}
		select {
		case <-q.stop:
			return
		case job := <-q.urgent:
			job()
		case job := <-q.later:
			job()
		}
	}
}

func (q *queue) len() int { return len(q.urgent) + len(q.later) }

func (q *queue) close() {
	q.once.Do(func() { close(q.stop) })
	q.running.Wait()
}

// Want has an encoding made in the background if nobody has asked for it yet.
// What is asked for meanwhile is served in another one. It does not wait and,
// once the encoding is there or of no use, does nothing.
func (o *Object) Want(e Encoding) {
	if o.state[e].Load() != stateUnknown || !o.state[e].CompareAndSwap(stateUnknown, stateQueued) {
		return
	}
	select {
	case o.cache.queue.urgent <- func() { o.make(e) }:
	default:
		o.state[e].Store(stateUnknown) // so many wait that this one is asked for again
	}
}

// Make makes an encoding now, quickly, unless it is there or somebody is at it.
func (o *Object) Make(e Encoding) {
	if o.state[e].CompareAndSwap(stateUnknown, stateQueued) {
		o.make(e)
	}
}

// Settled says whether an encoding is made, or will not be.
func (o *Object) Settled(e Encoding) bool { return o.state[e].Load() >= stateReady }

// make takes up the copy of an earlier process or makes one quickly, and has it
// made well later where there is a processor to spare.
func (o *Object) make(e Encoding) {
	if o.encodedOnDisk(e) {
		return
	}
	improvable := o.encode(e, quick)
	if !improvable || !o.cache.improves {
		return
	}
	select {
	case o.cache.queue.later <- func() { o.encode(e, best) }:
	default: // it stays as it is until the next start
	}
}

// encodedOnDisk takes up an encoded copy, if decoding it gives the object.
func (o *Object) encodedOnDisk(e Encoding) bool {
	c := o.cache
	path := c.disk.path(o.id, e.fileSuffix(false))
	f, err := os.Open(path)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			_ = c.disk.failed(err)
		}
		return false
	}
	defer f.Close()
	var small smallBody
	size := &counter{}
	hash, sum := sha256.New(), sha256.New()
	err = func() error {
		r, end, err := decompressor(io.TeeReader(f, io.MultiWriter(&small, size, sum)), e)
		if err != nil {
			return err
		}
		defer end()
		if _, err = io.Copy(hash, r); err != nil {
			return err
		}
		_, err = io.Copy(io.MultiWriter(&small, size, sum), f) // what the decoder did not need
		return err
	}()
	if err == nil && content.ID(hash.Sum(nil)) != o.id {
		err = errors.New("it is the encoding of something else")
	}
	if err == nil {
		if info, serr := f.Stat(); serr != nil || info.Size() != size.n {
			err = fmt.Errorf("its size changed while it was read")
		}
	}
	if err != nil {
		c.Stats.Damaged.Add(1)
		c.log.Error().Err(err).Str("object", o.id.String()).Str("encoding", e.String()).Msg("the kept encoding of a file is damaged; it is made again")
		c.disk.remove(path, size.n)
		return false
	}
	o.publish(e, &Copy{owner: o, size: size.n, path: path, sum: content.ID(sum.Sum(nil))}, small.whole(size.n))
	return true
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

// encode makes an encoding of the identity copy and tells whether it is worth
// being made better. What the quick level finds of no use may be of use when made
// well: the quick ones look for repetitions alone, and text without any, such as
// hexadecimal digits, takes half the room all the same.
func (o *Object) encode(e Encoding, how effort) (improvable bool) {
	c := o.cache
	room := pace.New()
	defer room.Block()
	identity := o.copies[Identity].Load()
	before := o.copies[e].Load()
	give := func(state uint32) bool {
		if before == nil {
			o.state[e].Store(state)
		}
		return false
	}
	if how != quick && before == nil && o.state[e].Load() != stateUseless {
		return false // it was lost, and is made anew when it is asked for
	}
	if identity == nil || c.ctx.Err() != nil {
		return give(stateUnknown)
	}
	if identity.size == 0 || identity.size > mostCoded {
		return give(stateUseless)
	}
	w := &spool{disk: c.disk, hash: sha256.New(), limit: identity.size - identity.size/20} // it saves more than 5%
	defer w.abandon()
	err := o.compress(c.ctx, w, identity, e, how, &room)
	switch {
	case errors.Is(err, ErrTooLarge):
		give(stateUseless)
		return how == quick
	case errors.Is(err, errDamaged):
		return give(stateUnknown) // it is made when the file is here again
	case err != nil:
		if c.ctx.Err() == nil {
			c.log.Error().Err(err).Str("object", o.id.String()).Str("encoding", e.String()).Msg("a file could not be compressed")
		}
		return give(stateUseless)
	}
	room.Block()
	cp, body, err := w.copy(o, e.fileSuffix(how == quick && c.improves))
	if err != nil {
		return give(stateUseless)
	}
	c.Stats.Encoded.Add(1)
	o.publish(e, cp, body)
	if how != quick && before != nil && before.path != "" && before.path != cp.path {
		c.disk.remove(before.path, before.size)
	}
	return how == quick
}

// compress writes the encoding of the identity copy to w, and makes room after each
// piece unless it is to be the best.
func (o *Object) compress(ctx context.Context, w io.Writer, identity *Copy, e Encoding, how effort, room *pace.Pacer) error {
	z, err := o.cache.compressors.to(w, e, identity.size, how)
	if err != nil {
		return err
	}
	n := int64(piece)
	if how == best {
		n = 256 << 10 // what goes on in the background must be able to end
	}
	next := func(b []byte, at int64) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if _, err := z.Write(b); err != nil {
			return err
		}
		if how != best && at+int64(len(b)) < identity.size {
			if err := z.Flush(); err != nil {
				return err
			}
			room.Block()
		}
		return nil
	}
	if b := identity.Bytes(); b != nil {
		for at := int64(0); at < identity.size; at += n {
			if err := next(b[at:min(at+n, identity.size)], at); err != nil {
				return err
			}
		}
		return z.Close()
	}
	f, err := identity.Open()
	if err != nil {
		o.Lost(Identity, identity)
		return err
	}
	defer f.Release()
	buf := make([]byte, min(n, identity.size))
	hash := sha256.New() // an encoding of damaged bytes would look sound for ever
	for at := int64(0); at < identity.size; {
		got, err := f.ReadAt(buf[:min(int64(len(buf)), identity.size-at)], at)
		if got > 0 {
			hash.Write(buf[:got])
			if err := next(buf[:got], at); err != nil {
				return err
			}
		}
		if at += int64(got); err != nil && at < identity.size {
			return err
		}
	}
	if content.ID(hash.Sum(nil)) != o.id {
		o.Lost(Identity, identity)
		return identity.damaged(identity.size)
	}
	return z.Close()
}
