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
	return message.As(m, message.Frame, frame)
}

// frame returns the encoding of a message. Its buffer is not of a pool, so any number of streams may free it.
func frame(m protobuf.Message) (mem.BufferSlice, error) {
	encoded, err := protobuf.Marshal(m)
	return mem.BufferSlice{mem.SliceBuffer(encoded)}, err
}
