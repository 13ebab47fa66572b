package upstream

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret holds a token, a signature or a key, and cannot be printed: by fmt, encoding/json or slog it comes out as ***.
// The zero Secret is empty. Two Secrets are never equal by ==.
type Secret struct {
	// A pointer, so that a Secret in another type's unexported field prints as an address: fmt cannot call Format there.
	value *string
}

// NewSecret wraps value.
func NewSecret(value string) Secret { return Secret{value: &value} }

// Reveal returns the secret itself. Call it where the secret is used, and keep no copy.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

const redacted = "***"

// Format prints *** whatever the verb is.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String returns ***.
func (s Secret) String() string { return redacted }

// MarshalText returns ***, for JSON and other encodings.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns ***.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
