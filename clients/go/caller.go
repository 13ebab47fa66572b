package kootask

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/kootask/kootask/internal/ascii"
)

// callerHeader carries the token that authenticates the caller to kootask. authorization is for KooDrive.
const callerHeader = "x-kootask-authorization"

// token returns the caller's current token; empty without a provider. It fails with an [*Error].
func (c *Client) token() (string, error) {
	if c.callerToken == nil {
		return "", nil
	}
	token, err := c.callerToken()
	// gRPC's own error for other characters would seem to come from kootask.
	if err == nil && !ascii.Visible(token) {
		err = errors.New("it contains characters other than visible ASCII")
	}
	if err != nil {
		message := "the caller's token: " + err.Error()
		return "", &Error{
			Code: codes.Unauthenticated, Message: message, status: status.New(codes.Unauthenticated, message), cause: err,
		}
	}
	return token, nil
}

// identify adds a caller's token to the context of a call or stream.
func identify(ctx context.Context, token string) context.Context {
	if token == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, callerHeader, "Bearer "+token)
}

// renewed reports whether the caller's token differs from the one of the stream that has ended.
func (w *watcher) renewed() bool {
	token, err := w.client.token()
	return err == nil && token != w.token
}
