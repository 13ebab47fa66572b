// Package auth authenticates callers and authorises their calls. A caller presents a client certificate, an issuer's
// token or both. Where kootask signs with an app's secret, a policy limits the KooDrive users that a caller may act
// for. The decision is made once per call or request; a long call can have it checked again.
//
// The package only checks the form of credentials for KooDrive: KooDrive decides whether they are valid.
package auth

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

	"github.com/kootask/kootask/internal/rates"
	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/reason"
)

// DefaultFailuresPerPeer is the default of [Config.FailuresPerPeer].
const DefaultFailuresPerPeer = 20

// Config sets who may call. With neither ClientCAs nor Tokens, everybody may, for any user.
type Config struct {
	// Mode says whose credential KooDrive sees.
	Mode caller.Mode
	// ClientCAs returns the authorities that must have signed a client's certificate; it is called for each check. Nil:
	// clients need no certificate.
	ClientCAs func() *x509.CertPool
	// SANs are the accepted subject alternative names: the certificate must have one of them. Examples:
	// DNS:orders.example, URI:spiffe://example/orders, email:orders@example.com, IP:192.0.2.1. [AnySAN] accepts all.
	SANs []string
	// Tokens configures the tokens that callers need, in addition to a certificate if ClientCAs is set. Nil: they need
	// none.
	Tokens *TokensConfig
	// TokenHeader carries the token. Empty: [caller.HeaderCallerToken]. It can be authorization only in App mode.
	TokenHeader string
	// Policy returns the KooDrive users that callers may act for, in App mode. Nil: all.
	Policy func() *Policy
	// FailuresPerPeer is the number of failed authentications allowed per second from one address, with a burst of
	// [rates.Burst] times as many. Beyond it, the error is CALLER_LIMIT_REACHED. 0: the default.
	FailuresPerPeer int
	// TrustedHops is the number of proxies in front that append their client to X-Forwarded-For. 0: the peer of the
	// connection is the client.
	TrustedHops int
	// Log gets a line per decision. Required.
	Log *slog.Logger
	// Metrics registers the Authenticator's metrics. Nil: they are not registered.
	Metrics prometheus.Registerer
}

// Authenticator authenticates callers. It is safe for concurrent use. Make one with [New], and close it.
type Authenticator struct {
	config       Config
	reader       *caller.Reader
	certificates *certificates // Nil without Config.ClientCAs.
	tokens       *Tokens       // Nil without Config.Tokens.
	failures     *rates.Rates
	decisions    *prometheus.CounterVec
	tickets      tickets
}

// New returns an Authenticator, or an error if the config is invalid.
func New(config Config) (*Authenticator, error) {
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
	a := &Authenticator{
		config: config, reader: caller.NewReader(config.Mode, header), failures: rates.New(config.FailuresPerPeer),
		decisions: promauto.With(config.Metrics).NewCounterVec(prometheus.CounterOpts{
			Name: "kootask_callers_total", Help: "Authenticated and refused calls, by outcome.",
		}, []string{"outcome"}),
		tickets: tickets{all: map[[sha256.Size]byte]ticket{}},
	}
	if config.Tokens != nil {
		var err error
		tokens := *config.Tokens
		tokens.Metrics = config.Metrics
		if a.tokens, err = NewTokens(tokens); err != nil {
			return nil, err
		}
	}
	if config.ClientCAs != nil {
		a.certificates = newCertificates(config.ClientCAs, config.SANs)
	}
	for _, outcome := range []string{
		allowed, reason.CallerNotAuthenticated.Name, reason.CallerTokenExpired.Name, reason.CallerKeysUnavailable.Name,
		reason.UserNotAllowed.Name, reason.TicketInvalid.Name, reason.CallerLimitReached.Name,
	} {
		a.decisions.WithLabelValues(outcome)
	}
	return a, nil
}

// allowed is the outcome of a positive decision.
const allowed = "OK"

// Call returns the caller of a gRPC call with the given metadata. If authentication is not needed, as for health and
// reflection, the caller is only read.
func (a *Authenticator) Call(ctx context.Context, header metadata.MD, needed bool) (caller.Caller, error) {
	who, err := a.reader.Read(header.Get)
	var chain []*x509.Certificate
	if p, ok := peer.FromContext(ctx); ok {
		who.Peer = caller.Peer(caller.Forwarded(p.Addr.String(), a.config.TrustedHops, header.Get))
		if info, ok := p.AuthInfo.(credentials.TLSInfo); ok {
			chain = info.State.PeerCertificates
		}
	}
	if err != nil || !needed {
		return who, err
	}
	return a.admit(ctx, who, chain)
}

// Close stops the fetching of keys and waits for a fetch in flight.
func (a *Authenticator) Close() {
	if a.certificates != nil {
		a.certificates.close()
	}
	if a.tokens != nil {
		a.tokens.Close()
	}
}

// Read returns the caller that an HTTP request names, without authenticating it. It fails if a header is invalid.
func (a *Authenticator) Read(r *http.Request) (caller.Caller, error) {
	who, err := a.reader.Read(caller.Values(r.Header))
	who.Peer = a.Peer(r)
	return who, err
}

// Peer returns the host that an HTTP request comes from.
func (a *Authenticator) Peer(r *http.Request) string {
	return caller.Peer(caller.Forwarded(r.RemoteAddr, a.config.TrustedHops, caller.Values(r.Header)))
}

// Admit authenticates the caller that Read returned.
func (a *Authenticator) Admit(r *http.Request, who caller.Caller) (caller.Caller, error) {
	return a.admit(r.Context(), who, chain(r))
}

// chain returns the certificates that the client of an HTTP request presented.
func chain(r *http.Request) []*x509.Certificate {
	if r.TLS == nil {
		return nil
	}
	return r.TLS.PeerCertificates
}

// identity is the authenticated identity of a caller.
type identity struct {
	name    string         // For the log.
	sans    []string       // From its certificate.
	claims  map[string]any // From its token.
	expires time.Time      // Zero: never.
}

// admit authenticates a caller and checks the policy. The caller that it returns holds no token any more, and its Still
// checks the certificate and the policy again.
func (a *Authenticator) admit(ctx context.Context, who caller.Caller, chain []*x509.Certificate) (caller.Caller, error) {
	if a.certificates == nil && a.tokens == nil {
		return who, nil
	}
	id, err := a.identify(ctx, who, chain)
	if err == nil {
		who.Name = id.name
		err = a.may(id, who.UserID)
	}
	if err != nil {
		err = a.failed(who, err)
		a.audit(ctx, who, err)
		return who, err
	}
	a.audit(ctx, who, nil)
	return who.Admitted(id.name, id.expires, func(now caller.Caller) error {
		err := a.stillTrusted(chain)
		if err == nil {
			err = a.may(id, now.UserID)
		}
		if err != nil {
			a.audit(ctx, now, err)
		}
		return err
	}), nil
}

// identify authenticates a caller. Each configured kind of identity is required.
func (a *Authenticator) identify(ctx context.Context, who caller.Caller, chain []*x509.Certificate) (identity, error) {
	var id identity
	if a.certificates != nil {
		var err error
		if id.sans, err = a.certificates.identify(chain); err != nil {
			return identity{}, &reason.Error{Outcome: reason.CallerNotAuthenticated, Cause: err}
		}
		id.name = id.sans[0]
	}
	if a.tokens != nil {
		token, err := bearer(who.Token().Reveal())
		if err != nil {
			return identity{}, err
		}
		claims, expires, err := a.tokens.Verify(ctx, token)
		if err != nil {
			return identity{}, err
		}
		subject, _ := claims.GetSubject()
		id.name, id.expires = strings.TrimSpace(id.name+" sub="+subject), expires
		if a.config.Policy != nil {
			id.claims = claims
		}
	}
	return id, nil
}

// stillTrusted checks a certificate again: the trusted authorities may have changed.
func (a *Authenticator) stillTrusted(chain []*x509.Certificate) error {
	if a.certificates == nil {
		return nil
	}
	if err := a.certificates.verify(chain); err != nil {
		return &reason.Error{Outcome: reason.CallerNotAuthenticated, Cause: err}
	}
	return nil
}

// may checks the policy.
func (a *Authenticator) may(id identity, user string) error {
	if a.config.Policy == nil || a.config.Policy().allows(id, user) {
		return nil
	}
	return &reason.Error{Outcome: reason.UserNotAllowed}
}

// bearer returns the token in a header's value. HTTP allows several spaces after the scheme.
func bearer(value string) (string, error) {
	if value == "" {
		return "", &reason.Error{Outcome: reason.CallerNotAuthenticated, Cause: errors.New("no token")}
	}
	const scheme = "Bearer "
	if len(value) < len(scheme) || !strings.EqualFold(value[:len(scheme)], scheme) {
		return "", &reason.Error{Outcome: reason.CallerNotAuthenticated, Cause: errors.New("the scheme is not Bearer")}
	}
	return strings.TrimLeft(value[len(scheme):], " "), nil
}

// failed returns the error of a refused caller: CALLER_LIMIT_REACHED if its address has failed too often. Authenticated
// callers from the same address are still admitted.
func (a *Authenticator) failed(who caller.Caller, err error) error {
	failure := reason.Of(err)
	if failure.Outcome.Reason != reason.CallerNotAuthenticated.Reason || a.failures.Of(who.Peer).Allow() {
		return failure
	}
	return &reason.Error{
		Outcome: reason.CallerLimitReached, Cause: failure,
		Metadata: map[string]string{
			"limitName": "failed-per-peer", "limitValue": strconv.Itoa(a.config.FailuresPerPeer),
		},
	}
}

// AuditMessage is the message of the log lines about decisions.
const AuditMessage = "audit"

// audit logs and counts a decision. An unauthenticated caller's line leaves out the user: that name may be anything.
func (a *Authenticator) audit(ctx context.Context, who caller.Caller, err error) {
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
	a.decisions.WithLabelValues(outcome).Inc()
	a.config.Log.LogAttrs(ctx, level, AuditMessage, attrs...)
}
