package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/postern-auth/postern/gen"
)

// maxQuestions is how many questions one call may have; the most that functions ask is four.
const maxQuestions = 8

// hookTimeout limits calls in which a hook of the database may run (spec/07 section 2.3).
const hookTimeout = 2 * time.Second

// call makes the database call of a request in which hooks may take part, with the context document it is to pass on.
//
// Without hooks it is just that call. Hooks in the database run inside it. Where a function has to ask the server
// something, such as the answer of a hook over HTTP (sql/functions/core/ask.sql), the call is rolled back, the question
// answered without holding a connection, and the call made again with the answer.
func call[T any](ctx context.Context, r *request, f func(db *gen.Queries, document json.RawMessage) (T, error)) (T, error) {
	s := r.server
	if !s.hooks.isAny && !s.hooks.isAsking {
		return f(s.db, r.context())
	}
	return answeringCall(ctx, r, s.hooks.isAsking, f)
}

// phoneCall is call for functions that redeem a code which came by text message: where the provider makes the codes,
// they ask whether it is right.
func phoneCall[T any](
	ctx context.Context, r *request, f func(db *gen.Queries, document json.RawMessage) (T, error),
) (T, error) {
	if !r.server.sms.ChecksCodes() {
		return call(ctx, r, f)
	}
	return answeringCall(ctx, r, true, f)
}

// answeringCall is a call with hooks in it, or with questions.
func answeringCall[T any](
	ctx context.Context, r *request, isAsking bool, f func(db *gen.Queries, document json.RawMessage) (T, error),
) (T, error) {
	s := r.server
	attempt := &hookedCall{pool: s.pool, isAsking: isAsking, isLimited: len(s.hooks.functions) > 0, seed: rand.Text()}
	answers := map[string]json.RawMessage{}
	for range maxQuestions {
		document := r.context()
		if attempt.isAsking {
			document = withAnswers(document, answers)
		}
		row, err := f(gen.New(attempt), document)
		if err != nil || attempt.question == nil {
			if err == nil {
				r.audit.settle()
				err = s.afterwards(ctx, attempt.afterwards)
			}
			return row, s.hooks.explain(err)
		}
		r.audit.forget() // that attempt was rolled back
		q := attempt.question
		if answers[q.Name], err = s.answer(ctx, q); err != nil {
			return row, err
		}
	}
	var none T
	return none, errors.New("the database asks too many questions")
}

// callExec is call for queries that return nothing.
func callExec(ctx context.Context, r *request, f func(db *gen.Queries, document json.RawMessage) error) error {
	_, err := call(ctx, r, func(db *gen.Queries, document json.RawMessage) (struct{}, error) {
		return struct{}{}, f(db, document)
	})
	return err
}

// withAnswers appends the answers to a context document.
func withAnswers(document json.RawMessage, answers map[string]json.RawMessage) json.RawMessage {
	text, _ := json.Marshal(answers) // JSON values: cannot fail
	document = append(bytes.TrimSuffix(document, []byte("}")), `,"answers":`...)
	return append(append(document, text...), '}')
}

// question is what a function wants to know.
type question struct {
	Name    string // what is asked, and of whom: "hook:send-email:recovery"
	Payload json.RawMessage
	Now     string // the time of the call, which the next one keeps
}

// answer finds the answer to a question.
func (s *Server) answer(ctx context.Context, q *question) (json.RawMessage, error) {
	kind, rest, _ := strings.Cut(q.Name, ":")
	switch kind {
	case "hook":
		name, _, _ := strings.Cut(rest, ":")
		return s.hooks.call(ctx, name, q.Payload)
	case "session-key":
		return s.answerSessionKey(rest, q.Payload)
	case "custom-provider":
		what, _, _ := strings.Cut(rest, ":")
		return s.answerCustomProvider(ctx, what, q.Payload)
	case "webhook":
		what, _, _ := strings.Cut(rest, ":")
		return s.answerWebhook(ctx, what, q.Payload)
	case "sms-code":
		return s.checkCode(ctx, q.Payload)
	}
	return nil, fmt.Errorf("the database asks for %q, which this server does not know", q.Name)
}

// afterwards does what a call has left for the time after its commit: it calls the hook over HTTP, or tells the error of
// one in the database.
func (s *Server) afterwards(ctx context.Context, text string) error {
	if text == "" {
		return nil
	}
	var task struct {
		Hook    string
		Payload json.RawMessage
		Raised  *struct{ Code, Message, Hint, Schema, URI string }
	}
	if err := json.Unmarshal([]byte(text), &task); err != nil {
		return fmt.Errorf("decoding what is left to do: %w", err)
	}
	if e := task.Raised; e != nil {
		return &pgconn.PgError{Code: e.Code, Message: e.Message, Hint: e.Hint, SchemaName: e.Schema, TableName: e.URI}
	}
	answer, err := s.hooks.call(ctx, task.Hook, task.Payload)
	if err != nil {
		return err
	}
	return reported(answer)
}

// hookedCall makes one statement of the generated queries at a time, with what hooks need around it. It is a [gen.DBTX].
type hookedCall struct {
	pool      *pgxpool.Pool
	isAsking  bool   // in a transaction that is rolled back when there is a question
	isLimited bool   // in time, as a hook of the database may run
	seed      string // of random values
	now       string // fixed time, '' for the first call

	question   *question
	afterwards string
}

// QueryRow runs a query of one row; what it found out besides is known after Scan.
func (c *hookedCall) QueryRow(ctx context.Context, query string, args ...any) pgx.Row {
	return hookedRow(func(dest ...any) error {
		return c.run(ctx, query, args, func(result pgx.BatchResults) error { return result.QueryRow().Scan(dest...) })
	})
}

// Exec runs a statement.
func (c *hookedCall) Exec(ctx context.Context, query string, args ...any) (tag pgconn.CommandTag, err error) {
	err = c.run(ctx, query, args, func(result pgx.BatchResults) (err error) {
		tag, err = result.Exec()
		return err
	})
	return tag, err
}

// Query is for queries of many rows, in which no hook takes part.
func (c *hookedCall) Query(ctx context.Context, query string, args ...any) (pgx.Rows, error) {
	return c.pool.Query(ctx, query, args...)
}

type hookedRow func(dest ...any) error

func (f hookedRow) Scan(dest ...any) error { return f(dest...) }

// run sends everything in one round trip; a transaction takes a second one to end.
func (c *hookedCall) run(ctx context.Context, query string, args []any, read func(pgx.BatchResults) error) error {
	conn, err := c.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if err := c.send(ctx, conn, query, args, read); err != nil {
		if c.isAsking {
			_, _ = conn.Exec(context.WithoutCancel(ctx), "rollback") // a broken connection is not used again anyway
		}
		return err
	}
	if !c.isAsking {
		return nil
	}
	end := "commit"
	if c.question != nil {
		end = "rollback"
	}
	_, err = conn.Exec(ctx, end)
	return err
}

func (c *hookedCall) send(
	ctx context.Context, conn *pgxpool.Conn, query string, args []any, read func(pgx.BatchResults) error,
) error {
	batch := &pgx.Batch{}
	if c.isAsking {
		batch.Queue("begin")
		batch.Queue(`select set_config('postern.seed', $1, true), set_config('postern.draw', '', true),
			set_config('postern.clock', $2, true)`, c.seed, c.now)
	}
	if c.isLimited {
		batch.Queue("select set_config('statement_timeout', $1, true)", fmt.Sprint(hookTimeout.Milliseconds()))
	}
	batch.Queue(query, args...)
	batch.Queue(`select coalesce(current_setting('postern.question', true), ''),
		coalesce(current_setting('postern.afterwards', true), ''), postern_internal.clock()::text`)
	result := conn.SendBatch(ctx, batch)
	for range batch.Len() - 2 {
		if _, err := result.Exec(); err != nil {
			return errors.Join(err, result.Close())
		}
	}
	if err := read(result); err != nil {
		_ = result.Close()
		return err
	}
	var asked string
	c.question = nil
	if err := result.QueryRow().Scan(&asked, &c.afterwards, &c.now); err != nil {
		_ = result.Close()
		return err
	}
	if asked != "" {
		c.question = &question{}
		if err := json.Unmarshal([]byte(asked), c.question); err != nil {
			return errors.Join(fmt.Errorf("decoding a question: %w", err), result.Close())
		}
	}
	return result.Close()
}
