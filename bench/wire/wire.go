// Package wire is a gRPC client of few instructions: one goroutine for each connection, whatever the number of its
// streams. A client that costs more would measure itself, since it shares the machine with the servers.
//
//	c, err := wire.Dial(addr)
//	stream, err := c.Open(path, token, message)
//	err = c.Serve(data, ended)
package wire

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	streamWindow = 1 << 24
	// connWindow is so large that credit for half of it is rarely returned.
	connWindow = 1 << 28
	buffer     = 64 << 10
)

// Conn is an HTTP/2 connection. Open, Send and Flush may be called by several goroutines, Serve by one.
type Conn struct {
	net     net.Conn
	reader  *bufio.Reader
	decoder *hpack.Decoder
	status  string // The grpc-status of the header block that is being decoded.

	mu      sync.Mutex // Guards the fields below.
	writer  *bufio.Writer
	framer  *http2.Framer // Serve reads with it, without mu.
	encoder *hpack.Encoder
	block   bytes.Buffer
	key     string // The path and the token of block.
	uses    int    // Consecutive requests with key.
	next    uint32
}

// Dial opens a connection. It does not wait for the server's settings.
func Dial(addr string) (*Conn, error) {
	nc, err := net.Dial("tcp", addr) //nolint:noctx // The process ends when the driver is told to.
	if err != nil {
		return nil, err
	}
	c := &Conn{net: nc, reader: bufio.NewReaderSize(nc, buffer), writer: bufio.NewWriterSize(nc, buffer), next: 1}
	c.decoder = hpack.NewDecoder(4096, func(f hpack.HeaderField) {
		if f.Name == "grpc-status" {
			c.status = f.Value
		}
	})
	c.encoder = hpack.NewEncoder(&c.block)
	c.framer = http2.NewFramer(c.writer, c.reader)
	c.framer.SetReuseFrames()
	_, err = c.writer.WriteString(http2.ClientPreface)
	return c, errors.Join(err,
		c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: streamWindow}),
		c.framer.WriteWindowUpdate(0, connWindow-65535),
		c.writer.Flush())
}

// Message returns an encoded message with the prefix that gRPC puts before it.
func Message(encoded []byte) []byte {
	b := make([]byte, 5, 5+len(encoded))
	binary.BigEndian.PutUint32(b[1:], uint32(len(encoded)))
	return append(b, encoded...)
}

// Open begins a call with a message that has its prefix, and returns its stream. The request leaves with the next Flush.
// Unless open is set, the message is the only one. An empty token sends no credential.
func (c *Conn) Open(path, token string, message []byte, open bool) (uint32, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// From the second time on, all fields are in the compression table, so the block is the same each time.
	if key := path + " " + token; c.key != key {
		c.key, c.uses = key, 0
	}
	if c.uses++; c.uses <= 2 {
		c.block.Reset()
		fields := []hpack.HeaderField{
			{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: path},
			{Name: ":authority", Value: "localhost"}, {Name: "content-type", Value: "application/grpc"},
			{Name: "te", Value: "trailers"},
		}
		if token != "" {
			fields = append(fields, hpack.HeaderField{Name: "authorization", Value: "Bearer " + token})
		}
		for _, f := range fields {
			if err := c.encoder.WriteField(f); err != nil {
				return 0, err
			}
		}
	}
	stream := c.next
	c.next += 2
	return stream, errors.Join(
		c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: c.block.Bytes(), EndHeaders: true}),
		c.framer.WriteData(stream, !open, message))
}

// Send sends one more message on a stream that was opened for it.
func (c *Conn) Send(stream uint32, message []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.framer.WriteData(stream, false, message)
}

// Flush sends the buffered data.
func (c *Conn) Flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writer.Flush()
}

// Serve reads until the connection or a callback fails. data gets the content of each DATA frame, which is valid until it
// returns. ended gets each stream that has ended, with its grpc-status. Requests that a callback opens leave when
// nothing more can be read at once.
func (c *Conn) Serve(data func(stream uint32, content []byte) error, ended func(stream uint32, status string) error) error {
	taken := 0
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			return err
		}
		switch f := frame.(type) {
		case *http2.DataFrame:
			if taken += len(f.Data()); taken > connWindow/2 {
				err = c.write(func() error { return c.framer.WriteWindowUpdate(0, uint32(taken)) })
				taken = 0
			}
			err = errors.Join(err, data(f.StreamID, f.Data()))
		case *http2.HeadersFrame:
			c.status = ""
			if _, err = c.decoder.Write(f.HeaderBlockFragment()); err == nil && f.StreamEnded() {
				err = ended(f.StreamID, c.status)
			}
		case *http2.SettingsFrame:
			if !f.IsAck() {
				err = c.write(c.framer.WriteSettingsAck)
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				err = c.write(func() error { return c.framer.WritePing(true, f.Data) })
			}
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			err = fmt.Errorf("the server sent %v", f)
		}
		if err == nil && c.reader.Buffered() == 0 {
			err = c.Flush()
		}
		if err != nil {
			return err
		}
	}
}

// write calls a function of the framer under the lock, and flushes.
func (c *Conn) write(frame func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(frame(), c.writer.Flush())
}

// Close closes the connection.
func (c *Conn) Close() error { return c.net.Close() }
