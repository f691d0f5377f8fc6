package wire

import (
	"io"
	"os"
)

// BodySender is a Client that sends bodies from where they are, without a copy
// in this process. What sends returns how much of what it was given went out.
type BodySender interface {
	// WriteBoth sends a head and a body of at most 64 KiB in one write.
	WriteBoth(head, body []byte) (int64, error)
	// SendFile sends a head and n bytes of a file.
	SendFile(head []byte, f *os.File, offset, n int64) (int64, error)
	// SendsPages says that SendFile copies nothing: the kernel sends the pages of
	// the file that it has.
	SendsPages() bool
}

// SendsPages says that RespondFile copies nothing, so that it is the cheaper one
// even for what is in memory as well.
func (x *Exchange) SendsPages() bool {
	s, ok := x.Client.(BodySender)
	return ok && s.SendsPages()
}

// RespondBody sends a response whose body is in memory. body is at most 64 KiB
// and not changed.
func (x *Exchange) RespondBody(status int, head, body []byte) error {
	s, ok := x.Client.(BodySender)
	if !ok || len(body) == 0 {
		if err := x.Respond(status, head); err != nil || len(body) == 0 {
			return err
		}
		return x.Write(body)
	}
	x.Status, x.Responded = status, true
	n, err := s.WriteBoth(head, body)
	return x.wrote(n, err)
}

// RespondFile sends a response whose body is n bytes of a file. A file that ends
// early breaks the response.
func (x *Exchange) RespondFile(status int, head []byte, f *os.File, offset, n int64) error {
	if s, ok := x.Client.(BodySender); ok {
		x.Status, x.Responded = status, true
		sent, err := s.SendFile(head, f, offset, n)
		return x.wrote(sent, err)
	}
	if err := x.Respond(status, head); err != nil {
		return err
	}
	buf := GetCopyBuffer()
	defer PutCopyBuffer(buf)
	for n > 0 {
		part := buf[:min(int64(len(buf)), n)]
		if _, err := f.ReadAt(part, offset); err != nil {
			return x.wrote(0, noEOF(err))
		}
		if err := x.Write(part); err != nil {
			return err
		}
		offset += int64(len(part))
		n -= int64(len(part))
	}
	return nil
}

func (x *Exchange) wrote(n int64, err error) error {
	x.Sent += n
	if err != nil {
		x.Broken = true
	}
	return err
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
