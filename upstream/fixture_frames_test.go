package upstream_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/kootask/kootask/upstream"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// The parts of HTTP/2 framing that these tests need to misbehave in ways that no library allows.
const (
	frameData, frameHeaders, frameReset, frameSettings, framePing, frameGoAway = 0x0, 0x1, 0x3, 0x4, 0x6, 0x7

	flagAck, flagEndStream, flagEndHeaders = 0x1, 0x1, 0x4

	protocolError, internalError, refusedStream, cancelled, enhanceYourCalm = 0x1, 0x2, 0x7, 0x8, 0xb
)

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// peer is the server's end of a connection over HTTP/2.
type peer struct {
	net.Conn
	out chan []byte // Frames to write; nil ends the connection. Never closed.
}

// send queues a frame: in memory, a write waits for its reader.
func (p *peer) send(kind, flags byte, stream uint32, payload []byte) {
	frame := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	frame = append(frame, flags)
	frame = binary.BigEndian.AppendUint32(frame, stream)
	p.out <- append(frame, payload...)
}

// hangUp ends the connection after the frames that are queued.
func (p *peer) hangUp() { p.out <- nil }

func (p *peer) write() {
	for frame := range p.out {
		if frame == nil {
			_ = p.Close()
			return
		}
		_, _ = p.Write(frame)
	}
}

func (p *peer) reset(stream uint32, code uint32) {
	p.send(frameReset, 0, stream, binary.BigEndian.AppendUint32(nil, code))
}

func (p *peer) goAway(last uint32) {
	p.send(frameGoAway, 0, 0, append(binary.BigEndian.AppendUint32(nil, last), 0, 0, 0, 0))
}

// status sends a header with a status, as an HPACK literal.
func (p *peer) status(stream uint32, status string, flags byte) {
	p.send(frameHeaders, flagEndHeaders|flags, stream, append([]byte{0x08, 3}, status...))
}

func (p *peer) answer(stream uint32) {
	p.status(stream, "200", 0)
	p.send(frameData, flagEndStream, stream, []byte(`{"taskId":"`+exampleID+`","status":1,"code":0}`))
}

// serve calls on for each request, one after the other, until the connection ends.
func (p *peer) serve(on func(p *peer, stream uint32, flags byte)) {
	p.out = make(chan []byte, 1000)
	go p.write()
	defer p.hangUp()
	hello := make([]byte, len(preface))
	if _, err := io.ReadFull(p, hello); err != nil || string(hello) != preface {
		return
	}
	p.send(frameSettings, 0, 0, nil)
	for {
		header := make([]byte, 9)
		if _, err := io.ReadFull(p, header); err != nil {
			return
		}
		payload := make([]byte, binary.BigEndian.Uint32(header)>>8)
		if _, err := io.ReadFull(p, payload); err != nil {
			return
		}
		stream := binary.BigEndian.Uint32(header[5:])
		switch kind, flags := header[3], header[4]; {
		case kind == frameSettings && flags&flagAck == 0:
			p.send(frameSettings, flagAck, 0, nil)
		case kind == framePing && flags&flagAck == 0:
			p.send(framePing, flagAck, 0, payload)
		case kind == frameHeaders:
			on(p, stream, flags)
		}
	}
}

// overFrames returns a client for a KooDrive that speaks HTTP/2 and handles each request with on.
func overFrames(t *testing.T, config upstream.Config, on func(p *peer, stream uint32, flags byte)) *upstream.Client {
	t.Helper()
	return overFramesAt(t, koodrivetest.Listen(), config, on)
}

// overFramesAt is overFrames over a listener.
func overFramesAt(
	t *testing.T, listener *koodrivetest.Listener, config upstream.Config, on func(p *peer, stream uint32, flags byte),
) *upstream.Client {
	t.Helper()
	cert, pool := certificate(t)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			secured := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}})
			go (&peer{Conn: secured}).serve(on)
		}
	}()
	config.BaseURL, config.RootCAs = "https://koodrive.test", always(pool)
	if config.Dial == nil {
		config.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			return listener.Dial(ctx, network, address)
		}
	}
	c, err := upstream.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		_ = listener.Close()
	})
	return c
}

// unreachable reports whether KooDrive could not be reached, and why.
func unreachable(err error) (upstream.TransportFault, bool) {
	var fault *upstream.TransportError
	if !errors.As(err, &fault) {
		return 0, false
	}
	return fault.Fault, true
}
