//go:build !linux

package server

import "os"

type fileSender struct{}

// SendFile is part of wire.BodySender.
func (c *conn) SendFile(head []byte, f *os.File, offset, n int64) (int64, error) {
	return c.sendBuffered(head, f, offset, n)
}

// SendsPages is part of wire.BodySender.
func (c *conn) SendsPages() bool { return false }
