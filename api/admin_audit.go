package api

import (
	"context"
	"slices"
	"strings"

	"github.com/postern-auth/postern/gen"
)

// adminListAudit lists the audit log, newest first: GET /admin/audit (spec/01 section 15).
func (s *Server) adminListAudit(ctx context.Context, r *request) (reply, error) {
	p, err := r.page()
	if err != nil {
		return nil, err
	}
	query := r.query("query")
	scope, text, ok := strings.Cut(query, ":")
	if query != "" && (!ok || !slices.Contains([]string{"author", "action", "type"}, scope)) {
		return nil, invalid("Invalid query scope: " + query)
	}
	if wantsNDJSON(r) {
		return s.adminExportAudit(ctx, r, scope, text)
	}
	skipped, limit := p.window()
	row, err := s.db.ListAudit(ctx, gen.ListAuditParams{Scope: scope, Text: text, Skipped: skipped, MaxRows: limit})
	if err != nil {
		return nil, failed("Error searching for audit logs", err)
	}
	return withHeader{p.header(r, row.Total), document(row.Entries)}, nil
}
