package api

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
)

// page is what a client asks for of a list (spec/00 section 10).
type page struct {
	number uint64 // as asked for: 1-based, and 0 is served as 1
	size   uint64
}

const defaultPageSize = 50

// page reads the parameters page and per_page.
func (r *request) page() (p page, err error) {
	if p.number, err = r.uint("page", 1); err != nil {
		return p, err
	}
	if p.size, err = r.uint("per_page", defaultPageSize); err != nil {
		return p, err
	}
	if p.size == 0 {
		return p, badPage("per_page must not be 0")
	}
	return p, nil
}

// uint reads an unsigned decimal parameter.
func (r *request) uint(name string, missing uint64) (uint64, error) {
	text := r.query(name)
	if text == "" {
		return missing, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, badPage(err.Error())
	}
	return n, nil
}

func badPage(detail string) error { return invalid("Bad Pagination Parameters: " + detail) }

// window returns what SQL skips and returns at most.
func (p page) window() (skipped, limit int64) {
	size := min(p.size, math.MaxInt32)
	before := max(p.number, 1) - 1
	if before > math.MaxInt64/size {
		return math.MaxInt64, int64(size)
	}
	return int64(before * size), int64(size)
}

// header returns X-Total-Count and Link of a list of so many items.
func (p page) header(r *request, total int64) http.Header {
	last := uint64(total) / p.size
	if uint64(total)%p.size > 0 {
		last++
	}
	link := r.link("page", strconv.FormatUint(last, 10), "last")
	if last > p.number {
		link = r.link("page", strconv.FormatUint(p.number+1, 10), "next") + ", " + link
	}
	return http.Header{"X-Total-Count": {strconv.FormatInt(total, 10)}, "Link": {link}}
}

// link is the request's own URL with one parameter replaced (RFC 8288).
func (r *request) link(name, value, rel string) string {
	values := make(url.Values)
	for k, v := range r.URL.Query() {
		values[k] = v
	}
	values.Set(name, value)
	return fmt.Sprintf("<%s?%s>; rel=%q", r.URL.EscapedPath(), values.Encode(), rel)
}
