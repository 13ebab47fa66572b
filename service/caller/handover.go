package caller

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/metadata"
)

// headerHandover has what stands for a caller on the connection from the gateway to the gRPC server.
const headerHandover = "kootask-caller"

// Handover hands callers from the gateway to the gRPC server behind it. The two share a process, and a connection that nobody
// else has; what goes over it stands for a caller for as long as its request lasts, and says nothing about it. So who calls
// is found out once, where the request comes in, and is nothing that a header could claim. The zero Handover is ready for
// use, by many at once.
type Handover struct {
	last    atomic.Uint64
	callers sync.Map // Of uint64 to Caller.
}

// Give returns the metadata of calls on behalf of a caller. Call done when the request has ended.
func (h *Handover) Give(c Caller) (md metadata.MD, done func()) {
	id := h.last.Add(1)
	h.callers.Store(id, c)
	return metadata.Pairs(headerHandover, strconv.FormatUint(id, 10)), func() { h.callers.Delete(id) }
}

// Take returns the caller of a call that has come in. If it is gone, so is its request.
func (h *Handover) Take(ctx context.Context, _ bool) (Caller, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	given := md.Get(headerHandover)
	if len(given) != 1 {
		return Caller{RequestID: RequestID(md.Get)}, errors.New("a call from the gateway has no caller")
	}
	id, _ := strconv.ParseUint(given[0], 10, 64)
	c, ok := h.callers.Load(id)
	if !ok {
		return Caller{RequestID: RequestID(md.Get)}, context.Canceled
	}
	return c.(Caller), nil
}
