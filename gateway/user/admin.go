package user

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

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
func Admin(server *admin.Server, users *cachesync.Users) {
	put := func(r *http.Request, changes ...cachesync.User) (any, error) {
		err := users.Put(r.Context(), changes)
		switch {
		case err == nil:
			return map[string]int{"users": len(changes)}, nil
		case errors.Is(err, cachesync.ErrUser):
			return nil, admin.Bad("%v", err)
		}
		return nil, &admin.Error{Status: http.StatusServiceUnavailable, Code: "later", Message: err.Error()}
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
