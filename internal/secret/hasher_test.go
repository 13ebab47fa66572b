package secret

import "testing"

// Different lists of parts have different hashes, however their texts are divided. The same list has the same one, from
// the same Hasher only.
func TestHashesCoverThePartsAndTheirLengths(t *testing.T) {
	h := NewHasher()
	seen := map[Hash][]string{}
	for _, parts := range [][]string{{}, {""}, {"", ""}, {"ab"}, {"a", "b"}, {"ab", ""}, {"", "ab"}, {"b", "a"}, {"a", "b", ""}} {
		sum := h.Sum(parts...)
		if other, ok := seen[sum]; ok {
			t.Errorf("%q and %q have the same hash", parts, other)
		}
		seen[sum] = parts
		if sum != h.Sum(parts...) || sum == NewHasher().Sum(parts...) {
			t.Errorf("the hash of %q is not that of its Hasher", parts)
		}
	}
}
