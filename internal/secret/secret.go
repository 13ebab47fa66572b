// Package secret holds texts that must not be printed: tokens, signatures and keys.
//
//	token := secret.New("Bearer 0123…")
//	slog.Info("calling", "token", token) // Prints ***.
//	request.Header.Set("Authorization", token.Reveal())
package secret

import (
	"fmt"
	"io"
	"log/slog"
)

// Value is a secret text. fmt, encoding/json and slog print it as ***. The zero Value is empty. Values of separate calls
// of [New] are never equal by ==.
type Value struct {
	// A pointer, so that a Value in another type's unexported field prints as an address: fmt cannot call Format there.
	text *string
}

// New returns the Value of a text.
func New(text string) Value { return Value{text: &text} }

// Reveal returns the text. Call it where the secret is used, and keep no copy.
func (v Value) Reveal() string {
	if v.text == nil {
		return ""
	}
	return *v.text
}

const redacted = "***"

// Format prints *** for every verb.
func (v Value) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String returns ***.
func (v Value) String() string { return redacted }

// MarshalText returns ***, for JSON and other encodings.
func (v Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns ***.
func (v Value) LogValue() slog.Value { return slog.StringValue(redacted) }
