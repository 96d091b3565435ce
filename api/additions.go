package api

import "context"

// getAdditions tells clients which endpoints beyond those of Supabase Auth this server has: GET /.well-known/postern
// (docs/http-additions.md). The document of GET /settings stays that of the reference, member by member.
func (s *Server) getAdditions(context.Context, *request) (reply, error) {
	return jsonReply(map[string]any{
		"name":    "Postern",
		"version": Version,
		"additions": map[string]bool{
			"sessions":        true,
			"admin_sessions":  true,
			"exact_look_up":   true,
			"user_deletion":   s.cfg.Deletion.IsOn(),
			"provider_tokens": len(s.cfg.ProviderTokens.Providers) > 0,
			"webhooks":        true,
		},
	}, cacheable)
}
