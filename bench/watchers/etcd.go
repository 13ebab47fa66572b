package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/kootask/kootask/bench/task"
	"github.com/kootask/kootask/bench/wire"
)

// openEtcd opens watches of etcd, with one stream on each connection, and returns when it began.
func (w *watchers) openEtcd() (began time.Time, err error) {
	create, err := proto.Marshal(&etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_CreateRequest{
		CreateRequest: &etcdserverpb.WatchCreateRequest{Key: []byte(task.ID)},
	}})
	if err != nil {
		return began, err
	}
	began = time.Now()
	for range w.conns {
		c, err := wire.Dial(w.addr)
		if err != nil {
			return began, err
		}
		var m messages
		go w.serve(c, func(content []byte) { m.add(content, w.etcd) })
		stream, err := c.Open("/etcdserverpb.Watch/Watch", "", wire.Message(create), true)
		for range w.n/w.conns - 1 {
			if err == nil {
				err = c.Send(stream, wire.Message(create))
			}
		}
		if err != nil {
			return began, err
		}
		if err := c.Flush(); err != nil {
			return began, err
		}
	}
	return began, nil
}

// etcd notes a WatchResponse. The first one of each watch says that it is created, and all others are events.
func (w *watchers) etcd(message []byte) {
	r := w.now.Load()
	if r == nil {
		w.opened.add(1)
	} else if n := bytes.Count(message, r.token); n > 0 {
		r.hit(n)
	}
}

// messages puts the messages of one stream together.
type messages struct{ rest []byte }

// add calls each for every message that is complete with some more content.
func (m *messages) add(content []byte, each func(message []byte)) {
	m.rest = append(m.rest, content...)
	all := m.rest
	for len(all) >= 5 {
		end := 5 + int(binary.BigEndian.Uint32(all[1:]))
		if len(all) < end {
			break
		}
		each(all[5:end])
		all = all[end:]
	}
	m.rest = m.rest[:copy(m.rest, all)]
}

// etcdSource changes a key of etcd.
type etcdSource struct {
	version
	client etcdserverpb.KVClient
	put    time.Time
}

func newEtcdSource(addr string) (*etcdSource, error) {
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	return &etcdSource{client: etcdserverpb.NewKVClient(conn)}, err
}

func (s *etcdSource) open() (int, error) { return 0, errNotCounted }

func (s *etcdSource) change(version, pad int) error {
	value, err := proto.Marshal(task.New(task.ID, version, pad, false))
	if err != nil {
		return err
	}
	s.put = time.Now()
	_, err = s.client.Put(context.Background(), &etcdserverpb.PutRequest{Key: []byte(task.ID), Value: value})
	return err
}

func (s *etcdSource) told() (time.Time, error) { return s.put, nil }
