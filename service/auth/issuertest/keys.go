package issuertest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"math/big"
	"strconv"
	"sync"
	"sync/atomic"
)

// family is a kind of key.
type family string

const (
	familyRSA     family = "rsa"
	familyP256    family = "p256"
	familyP384    family = "p384"
	familyP521    family = "p521"
	familyEd25519 family = "ed25519"
)

var families = []family{familyRSA, familyP256, familyP384, familyP521, familyEd25519}

// algorithms maps each alg to the family of its keys.
var algorithms = map[string]family{
	"RS256": familyRSA, "RS384": familyRSA, "RS512": familyRSA,
	"PS256": familyRSA, "PS384": familyRSA, "PS512": familyRSA,
	"ES256": familyP256, "ES384": familyP384, "ES512": familyP521,
	"EdDSA": familyEd25519,
}

// signer is a key with its id.
type signer struct {
	family family
	id     string
	key    crypto.Signer
}

// RSA keys, shared by the process because generating them is slow: of all Issuers, and of [Forged] tokens.
var ownRSA, foreignRSA = sync.OnceValue(newRSA), sync.OnceValue(newRSA)

func newRSA() crypto.Signer { return must(rsa.GenerateKey(rand.Reader, 2048)) }

var generations atomic.Int64

// newKeys returns a key of each family, with ids that were never used.
func newKeys() map[family]signer {
	generation := strconv.FormatInt(generations.Add(1), 10)
	keys := map[family]signer{}
	for _, f := range families {
		keys[f] = signer{f, string(f) + "-" + generation, newKey(f, ownRSA)}
	}
	return keys
}

func newKey(f family, rsaKey func() crypto.Signer) crypto.Signer {
	switch f {
	case familyP256:
		return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	case familyP384:
		return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	case familyP521:
		return must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))
	case familyEd25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return must(key, err)
	default:
		return rsaKey()
	}
}

// jwk returns the public key as a JWK. The RSA key has no alg, since it serves several.
func (s signer) jwk() map[string]any {
	k := map[string]any{"kid": s.id, "use": "sig"}
	set := func(values map[string]any) map[string]any {
		for name, value := range values {
			k[name] = value
		}
		return k
	}
	switch public := s.key.Public().(type) {
	case *rsa.PublicKey:
		return set(map[string]any{"kty": "RSA", "n": encode(public.N.Bytes()), "e": encode(big.NewInt(int64(public.E)).Bytes())})
	case *ecdsa.PublicKey:
		point := must(public.Bytes())[1:] // Without the leading byte of an uncompressed point.
		alg := map[family]string{familyP256: "ES256", familyP384: "ES384", familyP521: "ES512"}[s.family]
		return set(map[string]any{
			"kty": "EC", "alg": alg, "crv": public.Params().Name,
			"x": encode(point[:len(point)/2]), "y": encode(point[len(point)/2:]),
		})
	case ed25519.PublicKey:
		return set(map[string]any{"kty": "OKP", "alg": "EdDSA", "crv": "Ed25519", "x": encode(public)})
	}
	return k
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
