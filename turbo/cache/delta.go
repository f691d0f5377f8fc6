package cache

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/zstd"
	"github.com/molecule-man/go-brrr"

	"edgerouter/turbo/content"
)

// DeltaEncoding is a content coding with a dictionary that the client has
// (RFC 9842).
type DeltaEncoding uint8

// The encodings with a dictionary.
const (
	DictionaryBrotli DeltaEncoding = iota // dcb
	DictionaryZstd                        // dcz
)

// String is the coding's name in Content-Encoding.
func (e DeltaEncoding) String() string { return [...]string{"dcb", "dcz"}[e] }

const (
	// maxDelta is the size up to which a file, and its dictionary, are made into a
	// delta: both are in memory then.
	maxDelta = 8 << 20
	// maxDeltas is how many deltas an object has at most: two encodings from a few
	// earlier versions.
	maxDeltas = 6
)

// Headers of the codings; the hash of the dictionary follows (RFC 9842 section 4).
var deltaMagic = [...]string{"\xffDCB", "\x5e\x2a\x4d\x18\x20\x00\x00\x00"}

// delta is an object encoded with a dictionary.
type delta struct {
	dictionary content.ID
	encoding   DeltaEncoding
	copy       *Copy // nil: under way, or of no use
}

// Delta returns the object encoded with a dictionary, nil when there is no such
// copy. It takes no lock.
func (o *Object) Delta(dictionary content.ID, e DeltaEncoding) *Copy {
	if all := o.deltas.Load(); all != nil {
		for _, d := range *all {
			if d.encoding == e && d.dictionary == dictionary {
				return d.copy
			}
		}
	}
	return nil
}

// WantDelta has the object encoded with a dictionary in the background, unless
// that was asked for before. Both have to be here.
func (o *Object) WantDelta(dictionary *Object, e DeltaEncoding) {
	if o.id == dictionary.id || !o.addDelta(delta{dictionary: dictionary.id, encoding: e}) {
		return
	}
	select {
	case o.cache.queue.urgent <- func() {
		cp, err := o.makeDelta(dictionary, e)
		if err != nil {
			o.cache.log.Error().Err(err).Str("object", o.id.String()).Str("encoding", e.String()).Msg("a file could not be compressed with a dictionary")
		}
		if cp != nil {
			o.setDelta(delta{dictionary.id, e, cp})
		}
	}:
	default:
	}
}

// addDelta notes a delta that will be made; false: it is known, or there are
// enough.
func (o *Object) addDelta(d delta) bool {
	for {
		old := o.deltas.Load()
		var all []delta
		if old != nil {
			all = *old
		}
		if len(all) >= maxDeltas || slices.ContainsFunc(all, func(k delta) bool { return k.dictionary == d.dictionary && k.encoding == d.encoding }) {
			return false
		}
		next := append(slices.Clone(all), d)
		if o.deltas.CompareAndSwap(old, &next) {
			return true
		}
	}
}

func (o *Object) setDelta(d delta) {
	for {
		old := o.deltas.Load()
		if old == nil {
			return
		}
		next := slices.Clone(*old)
		for i := range next {
			if next[i].dictionary == d.dictionary && next[i].encoding == d.encoding {
				next[i] = d
			}
		}
		if o.deltas.CompareAndSwap(old, &next) {
			return
		}
	}
}

// LostDelta is told of a delta that could not be read: it is made again when it
// is wanted.
func (o *Object) LostDelta(c *Copy) { o.dropDelta(c) }

func (o *Object) dropDelta(c *Copy) {
	for {
		old := o.deltas.Load()
		if old == nil || !slices.ContainsFunc(*old, func(d delta) bool { return d.copy == c }) {
			return
		}
		next := slices.DeleteFunc(slices.Clone(*old), func(d delta) bool { return d.copy == c })
		if o.deltas.CompareAndSwap(old, &next) {
			o.cache.memory.drop(c)
			o.cache.files.drop(c)
			return
		}
	}
}

// makeDelta makes the delta. It is kept if it is smaller than each encoding
// without a dictionary.
func (o *Object) makeDelta(dictionary *Object, e DeltaEncoding) (*Copy, error) {
	identity, base := o.Copy(Identity), dictionary.Copy(Identity)
	if identity == nil || base == nil || identity.size == 0 || base.size == 0 || identity.size > maxDelta || base.size > maxDelta {
		return nil, nil
	}
	data, err := identity.all()
	if err != nil {
		return nil, err
	}
	raw, err := base.all()
	if err != nil {
		return nil, err
	}
	limit := identity.size - identity.size/20
	for _, other := range []Encoding{Gzip, Brotli, Zstd} {
		if c := o.Copy(other); c != nil {
			limit = min(limit, c.size)
		}
	}
	encoded, err := encodeDelta(data, raw, dictionary.id, e)
	if err != nil || int64(len(encoded)) >= limit {
		return nil, err
	}
	c := o.cache
	w := &spool{disk: c.disk, hash: sha256.New()}
	defer w.abandon()
	if _, err := w.Write(encoded); err != nil {
		return nil, err
	}
	cp, body, err := w.copy(o, "."+dictionary.id.String()+"."+e.String())
	if err != nil {
		return nil, err
	}
	if body != nil {
		c.keep(cp, body)
	}
	c.Stats.Encoded.Add(1)
	return cp, nil
}

// all reads a whole copy.
func (c *Copy) all() ([]byte, error) {
	if b := c.Bytes(); b != nil {
		return b, nil
	}
	f, err := c.Open()
	if err != nil {
		return nil, err
	}
	defer f.Release()
	b := make([]byte, c.size)
	if _, err := io.ReadFull(io.NewSectionReader(f, 0, c.size), b); err != nil {
		return nil, err
	}
	if content.IDOf(b) != c.sum {
		return nil, c.damaged(c.size)
	}
	return b, nil
}

func encodeDelta(data, dictionary []byte, id content.ID, e DeltaEncoding) ([]byte, error) {
	var out bytes.Buffer
	out.WriteString(deltaMagic[e])
	out.Write(id[:])
	var w io.WriteCloser
	var err error
	switch e {
	case DictionaryBrotli:
		var d *brrr.PreparedDictionary
		if d, err = brrr.PrepareDictionary(dictionary); err == nil {
			w, err = brrr.NewWriterOptions(&out, 9, brrr.WriterOptions{SizeHint: uint(len(data)), Dictionaries: []*brrr.PreparedDictionary{d}})
		}
	case DictionaryZstd:
		w, err = zstd.NewWriter(&out, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1),
			zstd.WithWindowSize(window), zstd.WithEncoderDictRaw(0, dictionary))
	default:
		err = fmt.Errorf("no encoder for %s", e)
	}
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	err = w.Close()
	return out.Bytes(), err
}
