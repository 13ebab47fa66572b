// Package dialect reads the document that says how KooDrive is found to speak, where its documents leave that open or are
// wrong. The default is part of the program, and an overlay names what differs:
//
//	d, err := dialect.Parse(overlay, reasons)
//
// The package knows what a document may say, and nothing of how it is carried out.
package dialect

import (
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Dialect is how KooDrive speaks.
type Dialect struct {
	Token     Token
	Headers   []Header // Sorted by name.
	Signature Signature
	Codes     []Code // Sorted. No two have the same Status and Code.
	// Statuses and TaskTypes map numbers that KooDrive does not document to the name of a documented one.
	Statuses, TaskTypes map[int32]string
	// ResultCodes are the texts of result codes.
	ResultCodes map[string]Text
}

// Token is how a token is sent.
type Token struct {
	Prefix         string // What stands before the token. May be empty.
	Date           bool   // X-Date is sent with it.
	UserIDRequired bool   // It is refused without x-user-id.
}

// Header is a header of all requests.
type Header struct{ Name, Value string }

// Signature has the parts of an app's signature that the documents leave open. Its zero value is the default.
type Signature struct {
	WithoutHost  bool // The host is not signed.
	HostWithPort bool // The signed host has a port, also the default one.
	TimeLine     bool // The string to sign has a line with the date.
	EmptyPayload bool // The hash of an empty body is the empty text.
	PathAsItIs   bool // No slash is added to the signed path.
}

// Code is the reason of a refusal.
type Code struct {
	// Status is the HTTP status; 0: any.
	Status int
	// Code is the error code, that of Huawei's API gateway without APIG or APIGW; empty: any.
	Code string
	// Reason is one of the reasons that Parse was given.
	Reason string
	// Overlaid is set if the row comes from the overlay. Only such a row wins over the HTTP statuses 401 and 403.
	Overlaid bool
}

// Text is a text in English and Chinese, the languages of KooDrive.
type Text struct{ English, Chinese string }

// MaxSize is the size of the largest overlay, in bytes.
const MaxSize = 64 << 10

//go:embed default.yaml
var document []byte

// Document returns the default as text, with its comments.
func Document() []byte { return slices.Clone(document) }

// Parse returns the default with what an overlay changes. reasons are the allowed reasons of codes. An empty overlay changes
// nothing. The error has a line for each problem: "7: codes[2].reason: …".
func Parse(overlay []byte, reasons []string) (Dialect, error) {
	if len(overlay) > MaxSize {
		return Dialect{}, fmt.Errorf("it has more than %d KiB", MaxSize>>10)
	}
	d := Dialect{Statuses: map[int32]string{}, TaskTypes: map[int32]string{}, ResultCodes: map[string]Text{}}
	for i, text := range [][]byte{document, overlay} {
		r := &reader{reasons: reasons, into: &d, overlaid: i > 0}
		if err := r.read(text); err != nil {
			return Dialect{}, err
		}
	}
	slices.SortFunc(d.Codes, func(a, b Code) int { return cmp.Or(cmp.Compare(a.Code, b.Code), cmp.Compare(a.Status, b.Status)) })
	slices.SortFunc(d.Headers, func(a, b Header) int { return cmp.Compare(a.Name, b.Name) })
	return d, nil
}

// Digest identifies everything in d that can change an answer to callers, so not ResultCodes. Two dialects with the same
// digest may share KooDrive's answers.
func (d Dialect) Digest() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%+v", []any{d.Token, d.Headers, d.Signature, d.Codes, d.Statuses, d.TaskTypes}))
	return hex.EncodeToString(sum[:])
}

// PlainCode returns an error code without the prefix of Huawei's API gateway, which is printed in two ways.
func PlainCode(code string) string {
	return strings.TrimPrefix(strings.TrimPrefix(code, "APIGW"), "APIG")
}
