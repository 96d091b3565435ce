package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/postern-auth/postern/gen"
)

// adminListUsers lists the users of an audience: GET /admin/users (spec/01 section 12.1). By page with the exact total,
// or by cursor where that is switched on and no page is asked for; or those with one address or number.
func (s *Server) adminListUsers(ctx context.Context, r *request) (reply, error) {
	if r.isLookUp() {
		return s.lookUpUsers(ctx, r)
	}
	if s.cfg.Experimental.CursorPagination && r.query("page") == "" && r.query("per_page") == "" {
		return s.listUsersByCursor(ctx, r)
	}
	p, err := r.page()
	if err != nil {
		return nil, err
	}
	isAscending, err := sortOrder(r.URL.Query()["sort"])
	if err != nil {
		return nil, err
	}
	skipped, limit := p.window()
	row, err := s.db.ListUsers(ctx, gen.ListUsersParams{
		Filter: r.query("filter"), IsAscending: isAscending, Skipped: skipped, MaxRows: limit, Context: r.context(),
	})
	if err != nil {
		return nil, failed("Database error finding users", err)
	}
	return jsonReply(userList{Users: row.Users, Aud: r.audience()}, p.header(r, row.Total))
}

// userList is the body of GET /admin/users.
type userList struct {
	Users      json.RawMessage `json:"users"`
	Aud        string          `json:"aud"`
	Pagination *cursorPage     `json:"pagination,omitempty"`
}

type cursorPage struct {
	NextCursor string `json:"next_cursor,omitempty"`
	HasMore    bool   `json:"has_more"`
}

// sortOrder reads the parameters sort: "created_at" and a direction. The first one decides.
func sortOrder(params []string) (isAscending bool, err error) {
	for i, param := range params {
		field, direction, _ := strings.Cut(param, " ")
		if field != "created_at" {
			return false, invalid("Bad Sort Parameters: bad field for sort '" + field + "'")
		}
		switch strings.ToLower(direction) {
		case "asc":
			isAscending = isAscending || i == 0
		case "desc", "":
		default:
			return false, invalid("Bad Sort Parameters: bad direction for sort '" + direction + "', only 'asc' and 'desc' allowed")
		}
	}
	return isAscending, nil
}

// cursor names the last user of a page; on the wire it is unpadded base64url of its JSON.
type cursor struct {
	CreatedAt time.Time `json:"created_at"`
	ID        uuid.UUID `json:"id"`
}

func (c cursor) String() string {
	text, _ := json.Marshal(c) // a year that PostgreSQL has and RFC 3339 has not only ends the listing
	return base64.RawURLEncoding.EncodeToString(text)
}

// readCursor reads the parameter cursor; nil when there is none.
func (r *request) readCursor() (*cursor, error) {
	text := r.query("cursor")
	if text == "" {
		return nil, nil
	}
	document, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, badPage(err.Error())
	}
	c := new(cursor)
	if err := json.Unmarshal(document, c); err != nil {
		return nil, badPage(err.Error())
	}
	return c, nil
}

const maxCursorLimit = 1000

func (s *Server) listUsersByCursor(ctx context.Context, r *request) (reply, error) {
	limit, err := r.uint("limit", defaultPageSize)
	if err != nil {
		return nil, err
	}
	if limit == 0 {
		return nil, badPage("limit must not be 0")
	}
	after, err := r.readCursor()
	if err != nil {
		return nil, err
	}
	args := gen.ListUsersAfterParams{
		Filter: r.query("filter"), MaxRows: int32(min(limit, maxCursorLimit)), Context: r.context(),
	}
	if after != nil {
		args.CreatedAt, args.ID = &after.CreatedAt, &after.ID
	}
	row, err := s.db.ListUsersAfter(ctx, args)
	if err != nil {
		return nil, failed("Database error finding users", err)
	}
	body, header := userList{Users: row.Users, Aud: r.audience(), Pagination: &cursorPage{}}, http.Header{}
	if row.NextID != nil && row.NextCreatedAt != nil {
		next := cursor{*row.NextCreatedAt, *row.NextID}.String()
		body.Pagination = &cursorPage{NextCursor: next, HasMore: true}
		header.Set("Link", r.link("cursor", next, "next"))
	}
	return jsonReply(body, header)
}
