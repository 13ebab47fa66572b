package issuertest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Lifetime is how long a token is valid, unless a claim says otherwise.
const Lifetime = 5 * time.Minute

// draft is an unsigned token.
type draft struct {
	issuer *Issuer
	alg    string
	header map[string]any
	key    any // The signing key, in golang-jwt's type.
}

// Option modifies a token. Options are applied in order.
type Option func(*draft)

// Alg signs with one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 and EdDSA instead of RS256. It
// panics for any other.
func Alg(alg string) Option {
	return func(d *draft) {
		s := d.issuer.signer(alg)
		d.alg, d.key = alg, s.key
		d.header["alg"], d.header["kid"] = alg, s.id
	}
}

// KeyOf signs with the key of another alg, under that key's id: ES384 with a P-256 key, for example. It panics if the
// keys are neither both RSA nor both elliptic curve, or if the signature does not fit.
func KeyOf(alg string) Option {
	return func(d *draft) {
		s := d.issuer.signer(alg)
		d.key = s.key
		d.header["kid"] = s.id
	}
}

// Header sets a member of the token's header: "kid" names another key, "alg" misstates the algorithm. Nil removes the
// member.
func Header(name string, value any) Option {
	return func(d *draft) {
		d.header[name] = value
		if value == nil {
			delete(d.header, name)
		}
	}
}

// Forged signs with a key that is not the issuer's, but has the same kind and id.
func Forged() Option {
	return func(d *draft) { d.key = newKey(algorithms[d.alg], foreignRSA) }
}

// Unsigned makes a token with alg none and no signature.
func Unsigned() Option {
	return func(d *draft) {
		d.alg, d.key = jwt.SigningMethodNone.Alg(), jwt.UnsafeAllowNoneSignatureType
		d.header["alg"] = d.alg
	}
}

// Secret signs with HS256, HS384 or HS512, using the PEM of the issuer's public RSA key as the secret. This deceives a
// verifier that takes the alg from the token.
func Secret(alg string) Option {
	return func(d *draft) {
		d.alg, d.key = alg, PEM(d.issuer.PublicKey("RS256"))
		d.header["alg"] = alg
	}
}

// PEM returns a public key in PEM format.
func PEM(key crypto.PublicKey) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(key))})
}

// Token returns a token with claims, which override the defaults: iss, aud, iat and exp. A nil claim is left out.
// Without options, it is signed with RS256.
func (i *Issuer) Token(claims map[string]any, options ...Option) string {
	now := time.Now()
	all := map[string]any{"iss": i.url, "aud": Audience, "iat": now.Unix(), "exp": now.Add(Lifetime).Unix()}
	maps.Copy(all, claims)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	return i.Sign(must(json.Marshal(all)), options...)
}

// Sign returns a token with an arbitrary payload.
func (i *Issuer) Sign(payload []byte, options ...Option) string {
	d := draft{issuer: i, header: map[string]any{"typ": "JWT"}}
	Alg("RS256")(&d)
	for _, option := range options {
		option(&d)
	}
	text := encode(must(json.Marshal(d.header))) + "." + encode(payload)
	return text + "." + encode(d.sign(text))
}

func (d *draft) sign(text string) []byte {
	method := jwt.GetSigningMethod(d.alg)
	m, curve := method.(*jwt.SigningMethodECDSA)
	if !curve {
		return must(method.Sign(text, d.key))
	}
	// Not with golang-jwt, which requires the curve of the alg.
	hash := m.Hash.New()
	hash.Write([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, d.key.(*ecdsa.PrivateKey), hash.Sum(nil))
	signature := must(make([]byte, 2*m.KeySize), err)
	r.FillBytes(signature[:m.KeySize])
	s.FillBytes(signature[m.KeySize:])
	return signature
}
