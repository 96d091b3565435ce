package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/postern-auth/postern/api/input"
	"github.com/postern-auth/postern/gen"
)

// isLookUp tells whether GET /admin/users asks for one address or number. An empty one does, too, and is refused: whoever
// takes the first user of the answer must not get just anybody.
func (r *request) isLookUp() bool {
	values := r.URL.Query()
	return values.Has("email") || values.Has("phone")
}

// lookUpUsers finds users by their whole address or number: GET /admin/users?email= and ?phone= (docs/http-additions.md).
// There are no pages: an address has one user, or a few of single sign-on.
func (s *Server) lookUpUsers(ctx context.Context, r *request) (reply, error) {
	args := gen.LookUpUsersParams{Context: r.context()}
	if r.URL.Query().Has("email") {
		email, err := input.Email(r.query("email"))
		if err != nil {
			return nil, err
		}
		args.Email = &email
	}
	if r.URL.Query().Has("phone") {
		phone, err := input.Phone(r.query("phone"))
		if err != nil {
			return nil, err
		}
		args.Phone = &phone
	}
	row, err := s.db.LookUpUsers(ctx, args)
	if err != nil {
		return nil, failed("Database error finding users", err)
	}
	return jsonReply(userList{Users: row.Users, Aud: r.audience()},
		http.Header{"X-Total-Count": {strconv.FormatInt(row.Total, 10)}})
}
