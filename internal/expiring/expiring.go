// Package expiring is a cache of bounded size whose entries expire. It wraps otter's cache, without loaders, statistics
// and listeners.
//
// A package that sees a generic type compiles all of its methods for each set of type arguments. Otter has about a
// thousand, and its cache was a field of types that most packages see, which doubled the work of the compiler. This
// wrapper is compiled once. In return, each key and value is an allocation.
//
//	names := expiring.New[ID, string](10_000, time.Minute)
//	defer names.Close()
package expiring

import (
	"time"

	"github.com/maypok86/otter/v2"
)

// Cache holds entries. It is safe for concurrent use.
type Cache[K comparable, V any] struct{ entries store }

// store is an otter.Cache[any, any] behind an interface, to hide its type.
type store interface {
	GetIfPresent(key any) (any, bool)
	Set(key, value any) (any, bool)
	Invalidate(key any) (any, bool)
	CleanUp()
	EstimatedSize() int
	StopAllGoroutines() bool
}

// New returns a cache for about most entries; beyond that, it drops those that are used least. An entry expires after
// keep, counted from its last Set. Close the cache.
func New[K comparable, V any](most int, keep time.Duration) *Cache[K, V] {
	return &Cache[K, V]{open(most, keep)}
}

func open(most int, keep time.Duration) store {
	return otter.Must(&otter.Options[any, any]{MaximumSize: most, ExpiryCalculator: otter.ExpiryWriting[any, any](keep)})
}

// Get returns the value of a key, and whether there is one.
func (c *Cache[K, V]) Get(key K) (value V, ok bool) {
	found, ok := c.entries.GetIfPresent(key)
	if ok {
		value = found.(V)
	}
	return value, ok
}

// Set sets the value of a key and restarts its time.
func (c *Cache[K, V]) Set(key K, value V) { c.entries.Set(key, value) }

// Delete removes a key.
func (c *Cache[K, V]) Delete(key K) { c.entries.Invalidate(key) }

// Len removes expired and surplus entries, and returns the number of the others.
func (c *Cache[K, V]) Len() int {
	c.entries.CleanUp()
	return c.entries.EstimatedSize()
}

// Close ends the goroutines of the cache.
func (c *Cache[K, V]) Close() { c.entries.StopAllGoroutines() }
