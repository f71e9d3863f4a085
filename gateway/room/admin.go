package room

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"sluice/gateway/admin"
	"sluice/gateway/token"
)

// Admin adds the operators' routes for rooms:
//
//	PUT    /admin/rooms/{id}             {"title":"...","state":"live","capacity":0}; bans stay as they are
//	GET    /admin/rooms/{id}
//	PUT    /admin/rooms/{id}/bans/{uid}  DELETE takes the ban back
func (s *Store) Admin(server *admin.Server) {
	server.HandleFunc("PUT /admin/rooms/{id}", func(r *http.Request) (any, error) {
		given := Room{State: Live}
		decoder := json.NewDecoder(r.Body)
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&given); err != nil && !errors.Is(err, io.EOF) {
			return nil, admin.Bad("the body is not a room: %v", err)
		}
		return s.change(r, func(old *Room) (*Room, error) {
			next := given
			if old != nil && given.Bans == nil {
				next.Bans = old.Bans
			}
			return &next, nil
		})
	})
	server.HandleFunc("GET /admin/rooms/{id}", func(r *http.Request) (any, error) {
		room, _, err := s.Get(r.Context(), r.PathValue("id"))
		return room, forOperator(err)
	})
	ban := func(banned bool) func(r *http.Request) (any, error) {
		return func(r *http.Request) (any, error) {
			uid := r.PathValue("uid")
			if !token.ValidUID(uid) {
				return nil, admin.Bad("uid %.80q must be 1-64 characters of [A-Za-z0-9_-]", uid)
			}
			return s.change(r, func(old *Room) (*Room, error) {
				if old == nil {
					return nil, ErrNotFound
				}
				old.Ban(uid, banned)
				return old, nil
			})
		}
	}
	server.HandleFunc("PUT /admin/rooms/{id}/bans/{uid}", ban(true))
	server.HandleFunc("DELETE /admin/rooms/{id}/bans/{uid}", ban(false))
}

func (s *Store) change(r *http.Request, f func(*Room) (*Room, error)) (any, error) {
	id := r.PathValue("id")
	if !ValidID(id) {
		return nil, admin.Bad("room id %.80q must be 1-64 characters of [A-Za-z0-9_-]", id)
	}
	room, err := s.Change(r.Context(), id, f)
	return room, forOperator(err)
}

func forOperator(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrNotFound):
		return &admin.Error{Status: http.StatusNotFound, Code: "not_found", Message: "no such room"}
	case errors.Is(err, ErrFenced):
		return &admin.Error{Status: http.StatusServiceUnavailable, Code: "later", Message: err.Error()}
	case errors.Is(err, errBad):
		return admin.Bad("%v", err)
	}
	return err
}
