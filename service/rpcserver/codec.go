package rpcserver

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	protobuf "google.golang.org/protobuf/proto"

	"github.com/kootask/kootask/service/message"
)

// codec is gRPC's codec of protobuf, except that it takes the encoding of a [message.Message] from the message.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(proto.Name)} }

// Marshal implements [encoding.CodecV2].
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(*message.Message)
	if !ok {
		return c.CodecV2.Marshal(v)
	}
	frame, err := m.As(message.Frame, protobuf.Marshal)
	return mem.BufferSlice{mem.SliceBuffer(frame)}, err
}
