package acmetest

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// DNS answers every question for an address with the same one. It speaks TCP
// only, as pebble does.
type DNS struct {
	addr string

	mu     sync.Mutex
	ip     [4]byte
	frozen bool // questions for addresses stay unanswered
	asked  int
}

func startDNS(t testing.TB) *DNS {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &DNS{addr: ln.Addr().String(), ip: [4]byte{127, 0, 0, 1}}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() { d.serve(conn) })
		}
	})
	t.Cleanup(func() { ln.Close(); running.Wait() })
	return d
}

// Set says where all names lead from now on, or that nothing is answered.
func (d *DNS) Set(ip string, frozen bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ip, d.frozen = [4]byte(net.ParseIP(ip).To4()), frozen
}

// Asked is how many questions for an address there were.
func (d *DNS) Asked() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}

// serve answers one connection; each message follows its length (RFC 1035
// section 4.2.2).
func (d *DNS) serve(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	for {
		var length [2]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		if answer := d.answer(query); answer != nil {
			_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
		}
	}
}

func (d *DNS) answer(query []byte) []byte {
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) == 0 {
		return nil
	}
	m.Response, m.Authoritative, m.Additionals = true, true, nil
	if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
		d.mu.Lock()
		d.asked++
		ip, frozen := d.ip, d.frozen
		d.mu.Unlock()
		if frozen {
			return nil
		}
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1},
			Body:   &dnsmessage.AResource{A: ip},
		}}
	}
	out, err := m.Pack()
	if err != nil {
		return nil
	}
	return out
}
