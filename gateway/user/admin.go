package user

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"golang.org/x/sync/errgroup"

	"sluice/cachesync"
	"sluice/gateway/admin"
	"sluice/gateway/token"
)

// maxBatch is the most users of one request.
const maxBatch = 10_000

// Admin adds the operators' routes for live changes of user state; they reach
// every region as versioned records:
//
//	PUT    /admin/users/{uid}  {"blocked":true,...}: the user's whole state
//	DELETE /admin/users/{uid}
//	POST   /admin/users        {"u1":{...},"u2":null,...}: many at once, null deletes
//	POST   /admin/users/stream {"uid":"u1","state":{...}} and so on, one a line: the login queue's,
//	                           each taken within milliseconds; answered at the end, or where it fails
func Admin(server *admin.Server, users *cachesync.Users) {
	taken := func(n int, err error) (any, error) {
		var bad *admin.Error
		switch {
		case err == nil:
			return map[string]int{"users": n}, nil
		case errors.As(err, &bad):
			return nil, err
		case errors.Is(err, cachesync.ErrUser):
			return nil, admin.Bad("%v", err)
		}
		return nil, &admin.Error{Status: http.StatusServiceUnavailable, Code: "later", Message: err.Error()}
	}
	put := func(r *http.Request, changes ...cachesync.User) (any, error) {
		return taken(len(changes), users.Put(r.Context(), changes))
	}
	server.HandleFunc("PUT /admin/users/{uid}", func(r *http.Request) (any, error) {
		state, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, admin.Bad("reading the body: %v", err)
		}
		one, err := change(r.PathValue("uid"), state)
		if err != nil {
			return nil, err
		}
		return put(r, one)
	})
	server.HandleFunc("DELETE /admin/users/{uid}", func(r *http.Request) (any, error) {
		one, err := change(r.PathValue("uid"), []byte("null"))
		if err != nil {
			return nil, err
		}
		return put(r, one)
	})
	server.HandleStream("POST /admin/users/stream", func(r *http.Request) (any, error) {
		return taken(stream(r.Context(), users, r.Body))
	})
	server.HandleFunc("POST /admin/users", func(r *http.Request) (any, error) {
		var states map[string]json.RawMessage
		if err := json.NewDecoder(r.Body).Decode(&states); err != nil {
			return nil, admin.Bad("the body is not an object of uid to state: %v", err)
		}
		if len(states) > maxBatch {
			return nil, admin.Bad("%d users; at most %d in one request", len(states), maxBatch)
		}
		var all []cachesync.User
		for uid, state := range states {
			one, err := change(uid, state)
			if err != nil {
				return nil, err
			}
			all = append(all, one)
		}
		return put(r, all...)
	})
}

// stream puts what comes line by line, and counts it. What came before a bad line is taken; and all
// may be sent once more from any line before the end, the same state twice being the same state.
func stream(ctx context.Context, users *cachesync.Users, body io.Reader) (n int, err error) {
	in := make(chan cachesync.User)
	group, failed := errgroup.WithContext(ctx)
	group.Go(func() error { return users.Stream(ctx, in) })
	group.Go(func() error {
		defer close(in)
		lines := json.NewDecoder(body)
		lines.DisallowUnknownFields()
		for ; ; n++ {
			var line struct {
				UID   string          `json:"uid"`
				State json.RawMessage `json:"state"`
			}
			if err := lines.Decode(&line); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return admin.Bad("after %d users: %v", n, err)
			}
			one, err := change(line.UID, line.State)
			if err != nil {
				return err
			}
			select {
			case in <- one:
			case <-failed.Done():
				return failed.Err()
			}
		}
	})
	err = group.Wait()
	return n, err
}

// change checks one user's new state; null means deleted.
func change(uid string, state []byte) (cachesync.User, error) {
	if !token.ValidUID(uid) {
		return cachesync.User{}, admin.Bad("uid %.80q must be 1-64 characters of [A-Za-z0-9_-]", uid)
	}
	var object map[string]any
	if err := json.Unmarshal(state, &object); err != nil {
		return cachesync.User{}, admin.Bad("user %s: the state is not a JSON object: %v", uid, err)
	}
	if object == nil {
		return cachesync.User{UID: uid}, nil
	}
	return cachesync.User{UID: uid, State: state}, nil
}
