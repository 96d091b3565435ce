package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"

	"github.com/postern-auth/postern/api/captcha"
	"github.com/postern-auth/postern/api/config"
	"github.com/postern-auth/postern/api/mail"
	"github.com/postern-auth/postern/api/mailcheck"
	"github.com/postern-auth/postern/api/outbound"
	"github.com/postern-auth/postern/api/password"
	"github.com/postern-auth/postern/api/provider"
	"github.com/postern-auth/postern/api/redirect"
	"github.com/postern-auth/postern/api/seal"
	"github.com/postern-auth/postern/api/sms"
	"github.com/postern-auth/postern/api/token"
	"github.com/postern-auth/postern/api/webhook"
)

// newGeneration makes the server of a configuration on a process. What the settings did not change is taken over
// from before, which is nil at start.
func newGeneration(p *process, cfg *config.Config, before *Server) (*Server, error) {
	s := &Server{process: p, cfg: cfg}
	var err error
	if s.keys, err = token.New(cfg.JWT); err != nil {
		return nil, err
	}
	if s.redirects, err = redirect.New(cfg.Site.URL, cfg.Site.URIAllowList); err != nil {
		return nil, err
	}
	if before, err = s.connectTo(before); err != nil {
		return nil, err
	}
	if before != nil && reflect.DeepEqual(before.mailSettings(), s.mailSettings()) {
		s.mailer = before.mailer // with its cache of templates
	} else if s.mailer, err = mail.New(cfg.Mail, cfg.Site.URL, cfg.API.ExternalURL, s.outbound.Trusted(0), p.log); err != nil {
		return nil, err
	}
	if s.seals, err = seal.New(cfg.Encryption); err != nil {
		return nil, err
	}
	if before != nil && reflect.DeepEqual(before.cfg.Password, cfg.Password) && cfg.Password.CommonFile == "" {
		s.policy = before.policy // with what it remembers
	} else if s.policy, err = password.NewPolicy(cfg.Password, s.outbound.Trusted(0), p.log); err != nil {
		return nil, err
	}
	limit := cfg.API.InternalHTTPTimeout
	if s.sms, err = sms.New(cfg.SMS, s.outbound.Trusted(limit), p.log); err != nil {
		return nil, err
	}
	s.providers = provider.NewRegistry(cfg.Providers, cfg.OIDC, s.outbound.Trusted(limit), s.outbound.Guarded(limit))
	s.mailCheck = mailcheck.New(cfg.MailCheck, net.DefaultResolver, s.outbound.Trusted(0))
	s.limits = clientLimits(cfg.Limits)
	if c := cfg.Captcha; c.Enabled {
		if s.captcha, err = captcha.New(c.Provider, string(c.Secret), s.outbound.Trusted(c.Timeout)); err != nil {
			return nil, err
		}
	}
	if s.hooks, err = newHooks(cfg, s.outbound.Trusted(0), p.log); err != nil {
		return nil, err
	}
	s.webhooks = webhook.New(s.outbound.Guarded(webhookTimeout))
	if s.settings, err = newSettingsDocument(cfg, s.hooks); err != nil {
		return nil, err
	}
	s.handler = s.newHandler()
	return s, nil
}

// connectTo prepares the way to other servers. It returns before, or nil where the way is another one than before, so
// that nothing is taken over that goes there.
func (s *Server) connectTo(before *Server) (*Server, error) {
	var old *outbound.Clients
	if before != nil {
		old = before.outbound
	}
	options := s.cfg.Outbound.Options(Version)
	options.Network = s.network
	var err error
	if s.outbound, err = outbound.Renew(old, options); err != nil || s.outbound != old {
		return nil, err
	}
	return before, nil
}

// mailSettings is all that the mailer is made of.
func (s *Server) mailSettings() [3]any {
	return [3]any{s.cfg.Mail, s.cfg.Site.URL, s.cfg.API.ExternalURL}
}

// ErrNotPublished means that the database could not be told the settings: they may be right, and it is worth trying again.
var ErrNotPublished = errors.New("publishing the settings")

// publish tells the database the settings that SQL callers follow.
func (s *Server) publish(ctx context.Context) error {
	if err := s.db.PublishSettings(ctx, s.settings.published); err != nil {
		return fmt.Errorf("%w: %w", ErrNotPublished, err)
	}
	return nil
}

// Reload makes new requests follow other settings. Requests in flight keep theirs; connections, limits and, where its
// settings are the same, the cache of mail templates stay. Settings that cannot change while the process runs are
// logged and keep their old effect (spec/07 section 4). On an error everything stays as it was; errors are those of
// the settings, and of the database that has to be told.
func (s *Server) Reload(ctx context.Context, cfg *config.Config) error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	before := s.current.Load()
	if reflect.DeepEqual(before.cfg, cfg) {
		s.log.Info("settings were read again, nothing changed")
		return nil
	}
	next, err := newGeneration(s.process, cfg, before)
	if err != nil {
		return err
	}
	if err := next.publish(ctx); err != nil {
		return err
	}
	for _, name := range config.ChangedInVain(before.cfg, cfg) {
		s.log.Warn(name + " changed: this takes a restart")
	}
	s.outbox.SetCarriers(next.carriers())
	s.current.Store(next)
	s.log.Info("settings were reloaded")
	return nil
}
