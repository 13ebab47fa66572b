// Package auth decides who may call, and as whom: a caller shows a certificate, or a token of an issuer, and where
// kootask signs for KooDrive with an app's secret, a policy says for which of its users. It decides once, where a call or a
// request comes in, and lets a long call be looked at again.
//
// It knows nothing of credentials for KooDrive but that they have a form: whether those are good is KooDrive's to say.
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

// Authenticator knows who may call. It is safe for concurrent use. Make one with [New], and close it.
type Authenticator struct {
	config       Config
	reader       *caller.Reader
	certificates *certificates // Nil if there are none.
	tokens       *Tokens       // Likewise.
	failures     *rates.Rates
	decisions    *prometheus.CounterVec
	tickets      tickets
}

// New returns an Authenticator, or says why the config cannot be.
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

// allowed is the outcome of a decision for the caller.
const allowed = "OK"

// Call returns who makes a gRPC call. A caller who need not be anybody, of health or reflection, is not asked who it is.
func (a *Authenticator) Call(ctx context.Context, needed bool) (caller.Caller, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	who, err := a.reader.Read(md.Get)
	var chain []*x509.Certificate
	if p, ok := peer.FromContext(ctx); ok {
		who.Peer = caller.Peer(caller.Forwarded(p.Addr.String(), a.config.TrustedHops, md.Get))
		if info, ok := p.AuthInfo.(credentials.TLSInfo); ok {
			chain = info.State.PeerCertificates
		}
	}
	if err != nil || !needed {
		return who, err
	}
	return a.admit(ctx, who, chain)
}

// Close gives up what it holds.
func (a *Authenticator) Close() {
	if a.certificates != nil {
		a.certificates.close()
	}
	if a.tokens != nil {
		a.tokens.Close()
	}
}

// Read returns who an HTTP request says it is from, or which of its headers are no good. It does not ask whether that is true.
func (a *Authenticator) Read(r *http.Request) (caller.Caller, error) {
	who, err := a.reader.Read(r.Header.Values)
	who.Peer = a.Peer(r)
	return who, err
}

// Peer names the host that an HTTP request comes from.
func (a *Authenticator) Peer(r *http.Request) string {
	return caller.Peer(caller.Forwarded(r.RemoteAddr, a.config.TrustedHops, r.Header.Values))
}

// Admit returns whoever was read from an HTTP request, if that is true and it may call.
func (a *Authenticator) Admit(r *http.Request, who caller.Caller) (caller.Caller, error) {
	return a.admit(r.Context(), who, chain(r))
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

// identify finds out who calls. Whatever is configured has to be shown.
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

// stillTrusted looks again at a certificate: whom its issuer trusts may have changed.
func (a *Authenticator) stillTrusted(chain []*x509.Certificate) error {
	if a.certificates == nil {
		return nil
	}
	if err := a.certificates.verify(chain); err != nil {
		return &reason.Error{Outcome: reason.CallerNotAuthenticated, Cause: err}
	}
	return nil
}

// may asks the policy.
func (a *Authenticator) may(id identity, user string) error {
	if a.config.Policy == nil || a.config.Policy().allows(id, user) {
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

// AuditMessage is the message of the log lines that tell decisions.
const AuditMessage = "audit"

// audit writes down a decision: who, as whom, whether it may, and why not. Who is not known has no user either: the name that
// it gives may be anything.
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
