// Package callers decides who may call, and as whom: a caller shows a certificate, or a token of an issuer, and where
// kootask signs for KooDrive with an app's secret, a policy says for which of its users. It decides once, where a call or a
// request comes in, and lets a long call be looked at again.
//
// It knows nothing of credentials for KooDrive but that they have a form: whether those are good is KooDrive's to say.
package callers

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/reason"
)

// DefaultFailuresPerPeer is how many callers that it does not know one address may be in a second.
const DefaultFailuresPerPeer = 20

// Config says who may call. With neither ClientCAs nor Tokens everybody may, as whom they like.
type Config struct {
	// Mode is whose credential KooDrive sees.
	Mode caller.Mode
	// ClientCAs returns who signs the certificates that clients have to have: asked each time. Nil: they need none.
	ClientCAs func() *x509.CertPool
	// SANs are the subject alternative names that one of has to be in such a certificate, like DNS:orders.example,
	// URI:spiffe://example/orders, email:orders@example.com or IP:192.0.2.1. [AnySAN] stands for all.
	SANs []string
	// Tokens says whose tokens callers have to have; beside a certificate, if they have to have one. Nil: they need none.
	Tokens *TokensConfig
	// TokenHeader is where the token travels: empty is [caller.HeaderCallerToken]. It can be authorization in the mode App.
	TokenHeader string
	// Policy says for which KooDrive users a caller may act, in the mode App. Nil: for all.
	Policy func() *Policy
	// FailuresPerPeer is how many callers that are not known one address may be in a second, and ten times as many at once,
	// before that is all that they are told. 0 is the default.
	FailuresPerPeer int
	// TrustedHops is how many proxies requests come through that add the address of their client to X-Forwarded-For. 0: whoever
	// has the connection is the client.
	TrustedHops int
	// Log gets a line for each decision. Required.
	Log *slog.Logger
	// Metrics is where what is counted is registered. Nil: nobody sees it.
	Metrics prometheus.Registerer
}

// Callers knows who may call. It is safe for concurrent use. Make one with [New], and close it.
type Callers struct {
	config       Config
	reader       *caller.Reader
	certificates *certificates // Nil if there are none.
	tokens       *Tokens       // Likewise.
	failures     *caller.Rates
	decisions    *prometheus.CounterVec
	tickets      tickets
}

// New returns Callers, or says why the config cannot be.
func New(config Config) (*Callers, error) {
	header := ""
	if config.Tokens != nil {
		if header = config.TokenHeader; header == "" {
			header = caller.HeaderCallerToken
		}
	}
	if header == caller.HeaderAuthorization && config.Mode != caller.App {
		return nil, errors.New("must not be authorization, which has the credential for KooDrive, without --upstream-auth=app")
	}
	if config.FailuresPerPeer == 0 {
		config.FailuresPerPeer = DefaultFailuresPerPeer
	}
	c := &Callers{
		config: config, reader: caller.NewReader(config.Mode, header), failures: caller.NewRates(config.FailuresPerPeer),
		decisions: promauto.With(config.Metrics).NewCounterVec(prometheus.CounterOpts{
			Name: "kootask_callers_total", Help: "Authenticated and refused calls, by outcome.",
		}, []string{"outcome"}),
		tickets: tickets{all: map[[sha256.Size]byte]ticket{}},
	}
	if config.Tokens != nil {
		var err error
		tokens := *config.Tokens
		tokens.Metrics = config.Metrics
		if c.tokens, err = NewTokens(tokens); err != nil {
			return nil, err
		}
	}
	if config.ClientCAs != nil {
		c.certificates = newCertificates(config.ClientCAs, config.SANs)
	}
	for _, outcome := range []string{
		allowed, reason.CallerNotAuthenticated.Name, reason.CallerTokenExpired.Name, reason.CallerKeysUnavailable.Name,
		reason.UserNotAllowed.Name, reason.TicketInvalid.Name, reason.CallerLimitReached.Name,
	} {
		c.decisions.WithLabelValues(outcome)
	}
	return c, nil
}

// allowed is the outcome of a decision for the caller.
const allowed = "OK"

// Call returns who makes a gRPC call. A caller who need not be anybody, of health or reflection, is not asked who it is.
func (c *Callers) Call(ctx context.Context, needed bool) (caller.Caller, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	who, err := c.reader.Read(md.Get)
	var chain []*x509.Certificate
	if p, ok := peer.FromContext(ctx); ok {
		who.Peer = caller.Peer(caller.Forwarded(p.Addr.String(), c.config.TrustedHops, md.Get))
		if info, ok := p.AuthInfo.(credentials.TLSInfo); ok {
			chain = info.State.PeerCertificates
		}
	}
	if err != nil || !needed {
		return who, err
	}
	return c.admit(ctx, who, chain)
}

// Close gives up what it holds.
func (c *Callers) Close() {
	if c.certificates != nil {
		c.certificates.close()
	}
	if c.tokens != nil {
		c.tokens.Close()
	}
}

// Read returns who an HTTP request says it is from, or which of its headers are no good. It does not ask whether that is true.
func (c *Callers) Read(r *http.Request) (caller.Caller, error) {
	who, err := c.reader.Read(r.Header.Values)
	who.Peer = c.Peer(r)
	return who, err
}

// Peer names the host that an HTTP request comes from.
func (c *Callers) Peer(r *http.Request) string {
	return caller.Peer(caller.Forwarded(r.RemoteAddr, c.config.TrustedHops, r.Header.Values))
}

// Admit returns whoever was read from an HTTP request, if that is true and it may call.
func (c *Callers) Admit(r *http.Request, who caller.Caller) (caller.Caller, error) {
	return c.admit(r.Context(), who, chain(r))
}

// chain is what the client of an HTTP request has shown.
func chain(r *http.Request) []*x509.Certificate {
	if r.TLS == nil {
		return nil
	}
	return r.TLS.PeerCertificates
}

// identity is what a caller has shown.
type identity struct {
	name    string         // For people.
	sans    []string       // Of its certificate.
	claims  map[string]any // Of its token.
	expires time.Time      // Zero: never.
}

// admit decides. The caller that it returns has nothing more to show, and can be looked at again.
func (c *Callers) admit(ctx context.Context, who caller.Caller, chain []*x509.Certificate) (caller.Caller, error) {
	if c.certificates == nil && c.tokens == nil {
		return who, nil
	}
	id, err := c.identify(ctx, who, chain)
	if err == nil {
		who.Name = id.name
		err = c.may(id, who.UserID)
	}
	if err != nil {
		err = c.failed(who, err)
		c.audit(ctx, who, err)
		return who, err
	}
	c.audit(ctx, who, nil)
	return who.Admitted(id.name, id.expires, func(now caller.Caller) error {
		err := c.stillTrusted(chain)
		if err == nil {
			err = c.may(id, now.UserID)
		}
		if err != nil {
			c.audit(ctx, now, err)
		}
		return err
	}), nil
}

// identify finds out who calls. Whatever is configured has to be shown.
func (c *Callers) identify(ctx context.Context, who caller.Caller, chain []*x509.Certificate) (identity, error) {
	var id identity
	if c.certificates != nil {
		var err error
		if id.sans, err = c.certificates.identify(chain); err != nil {
			return identity{}, &reason.Error{Outcome: reason.CallerNotAuthenticated, Cause: err}
		}
		id.name = id.sans[0]
	}
	if c.tokens != nil {
		token, err := bearer(who.Token())
		if err != nil {
			return identity{}, err
		}
		claims, expires, err := c.tokens.Verify(ctx, token)
		if err != nil {
			return identity{}, err
		}
		subject, _ := claims.GetSubject()
		id.name, id.expires = strings.TrimSpace(id.name+" sub="+subject), expires
		if c.config.Policy != nil {
			id.claims = claims
		}
	}
	return id, nil
}

// stillTrusted looks again at a certificate: whom its issuer trusts may have changed.
func (c *Callers) stillTrusted(chain []*x509.Certificate) error {
	if c.certificates == nil {
		return nil
	}
	if err := c.certificates.verify(chain); err != nil {
		return &reason.Error{Outcome: reason.CallerNotAuthenticated, Cause: err}
	}
	return nil
}

// may asks the policy.
func (c *Callers) may(id identity, user string) error {
	if c.config.Policy == nil || c.config.Policy().allows(id, user) {
		return nil
	}
	return &reason.Error{Outcome: reason.UserNotAllowed}
}

// bearer returns the token that a header has. HTTP allows several spaces before it.
func bearer(value string) (string, error) {
	if value == "" {
		return "", &reason.Error{Outcome: reason.CallerNotAuthenticated, Cause: errors.New("there is no token")}
	}
	const scheme = "Bearer "
	if len(value) < len(scheme) || !strings.EqualFold(value[:len(scheme)], scheme) {
		return "", &reason.Error{Outcome: reason.CallerNotAuthenticated, Cause: errors.New("the scheme is not Bearer")}
	}
	return strings.TrimLeft(value[len(scheme):], " "), nil
}

// failed returns the error of a caller who was refused: that its peer has failed too often, if it has. Whoever is known is let
// in all the same.
func (c *Callers) failed(who caller.Caller, err error) error {
	failure := reason.Of(err)
	if failure.Outcome.Reason != reason.CallerNotAuthenticated.Reason || c.failures.Of(who.Peer).Allow() {
		return failure
	}
	return &reason.Error{
		Outcome: reason.CallerLimitReached, Cause: failure,
		Metadata: map[string]string{
			"limitName": "failed-per-peer", "limitValue": strconv.Itoa(c.config.FailuresPerPeer),
		},
	}
}

// AuditMessage is the message of the log lines that tell decisions.
const AuditMessage = "audit"

// audit writes down a decision: who, as whom, whether it may, and why not. Who is not known has no user either: the name that
// it gives may be anything.
func (c *Callers) audit(ctx context.Context, who caller.Caller, err error) {
	outcome, level := allowed, slog.LevelInfo
	attrs := []slog.Attr{
		slog.Bool("allowed", err == nil),
		slog.String("caller", who.Name),
		slog.String("request_id", who.RequestID),
		slog.String("peer", who.Peer),
	}
	if who.Name != "" {
		attrs = append(attrs, slog.String("user_id", who.UserID))
	}
	if err != nil {
		failure := reason.Of(err)
		outcome, level = failure.Outcome.Name, slog.LevelWarn
		attrs = append(attrs, slog.String("outcome", outcome), slog.String("error", failure.Error()))
	}
	c.decisions.WithLabelValues(outcome).Inc()
	c.config.Log.LogAttrs(ctx, level, AuditMessage, attrs...)
}
