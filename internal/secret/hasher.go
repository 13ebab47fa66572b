package secret

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
)

// Hash is a keyed hash.
type Hash [sha256.Size]byte

// Hasher returns keyed hashes of secrets, which do not reveal them: its key is random. Hashes of different Hashers never
// match. It is safe for concurrent use.
type Hasher struct{ key [32]byte }

// NewHasher returns a Hasher with a random key.
func NewHasher() *Hasher {
	h := &Hasher{}
	_, _ = rand.Read(h.key[:])
	return h
}

// Sum returns the hash of parts. Each is hashed with its length, so no two lists of parts look alike.
func (h *Hasher) Sum(parts ...string) Hash {
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	text := (*buffer)[:0]
	text = append(text, h.key[:]...)
	for _, part := range parts {
		text = binary.BigEndian.AppendUint64(text, uint64(len(part)))
		text = append(text, part...)
	}
	*buffer = text
	return sha256.Sum256(text)
}

// buffers holds the room for Sum's texts. On the stack it would double the stack of every watch.
var buffers = sync.Pool{New: func() any { return new([]byte) }}
