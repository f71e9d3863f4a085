package admin

import (
	"encoding/json"
	"net/http"

	"sluice/lua/bundle"
)

// Scripts adds the bundle's routes: what is live, what is wrong on disk, push
// and rollback.
//
//	GET  /admin/scripts                  {"live":{...},"history":[...],"last_error":null|{...}}
//	GET  /admin/scripts/files?version=V  {"path":"content",...}; without V the live ones
//	POST /admin/scripts/push             body {"path":"content",...}; the whole set
//	POST /admin/scripts/rollback         body {} or {"version":"V"}
func (s *Server) Scripts(store *bundle.Store) {
	s.HandleFunc("GET /admin/scripts", func(*http.Request) (any, error) {
		return map[string]any{"live": store.Current(), "history": store.History(), "last_error": store.LastError()}, nil
	})
	s.HandleFunc("GET /admin/scripts/files", func(r *http.Request) (any, error) {
		files, err := store.FilesOf(r.URL.Query().Get("version"))
		if err != nil {
			return nil, Bad("%v", err)
		}
		return files, nil
	})
	s.HandleFunc("POST /admin/scripts/push", func(r *http.Request) (any, error) {
		var files map[string]string
		if err := json.NewDecoder(r.Body).Decode(&files); err != nil {
			return nil, Bad("the body is not an object of path to content: %v", err)
		}
		version, err := store.Push(files)
		if err != nil {
			return nil, &Error{http.StatusUnprocessableEntity, "script_refused", err.Error()}
		}
		return version, nil
	})
	s.HandleFunc("POST /admin/scripts/rollback", func(r *http.Request) (any, error) {
		var to struct {
			Version string `json:"version"`
		}
		if r.ContentLength != 0 {
			if err := json.NewDecoder(r.Body).Decode(&to); err != nil {
				return nil, Bad("the body is not {} or {\"version\":\"...\"}: %v", err)
			}
		}
		version, err := store.Rollback(to.Version)
		if err != nil {
			return nil, Bad("%v", err)
		}
		return version, nil
	})
}
