package sidecar

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"rbdctl/backends/cinder"
)

// api registers the operations and is what their handlers work with.
type api struct {
	huma.API
	server *Server
}

// apiHandler is what the UNIX socket serves.
func (s *Server) apiHandler() (http.Handler, error) {
	mux := http.NewServeMux()
	document, err := s.register(mux)
	if err != nil {
		return nil, err
	}
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		_, _ = w.Write(document)
	})
	handler := buffered(mux, routed(mux))
	handler = limited(s.cfg.MaxRequests, handler)
	return s.recorded(newGuests(s.cfg).only(ofPool(s.cfg.Pool, handler))), nil
}

// OpenAPI describes the API: the document that every server has at /openapi.json.
func OpenAPI() ([]byte, error) {
	s, err := New(Config{})
	if err != nil {
		return nil, err
	}
	return s.register(http.NewServeMux())
}

// register puts every operation on mux and returns the OpenAPI document.
func (s *Server) register(mux *http.ServeMux) ([]byte, error) {
	config := huma.DefaultConfig("rbdctl", "1")
	config.Info.Description = "Cinder's volumes in Ceph, over the UNIX socket of `rbdctl serve`. " +
		"A request with the header " + poolHeader + " is refused by the sidecar of any other pool."
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", ""
	config.CreateHooks = nil // they add links to schemas to every answer
	format := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: strictJSON}
	config.Formats = map[string]huma.Format{"application/json": format, "json": format} // the latter of …+json
	config.Transformers = []huma.Transformer{asProblem}
	config.Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")
	a := &api{API: humago.New(mux, config), server: s}
	a.registerVolumes()
	a.registerChanges()
	a.registerSnapshots()
	a.registerGroups()
	a.registerData()
	a.registerStats()
	a.registerTrash()
	a.registerJobs()
	return document(a.OpenAPI())
}

// asProblem makes every error that is sent a problem of ours, and notes it.
func asProblem(ctx huma.Context, _ string, v any) (any, error) {
	e := exchangeOf(ctx.Context())
	var p *Problem
	switch v := v.(type) {
	case *huma.ErrorModel:
		p = problemOfModel(v)
	case *Problem:
		p = v
	default:
		return v, nil
	}
	e.coerce = p.Status // the library has a mind of its own about 422
	if p.Status == http.StatusServiceUnavailable {
		e.Header().Set("Retry-After", "1")
	}
	e.note(p)
	return p.with(e.id), nil
}

// operation describes one operation; edit adds what few have.
func operation(method, path, id, summary string, edit ...func(*huma.Operation)) huma.Operation {
	op := huma.Operation{
		Method: method, Path: path, OperationID: id, Summary: summary,
		BodyReadTimeout: -1, // buffered reads the bodies
		MaxBodyBytes:    -1,

		RejectUnknownQueryParameters: true,
		Responses: map[string]*huma.Response{"default": {
			Description: "A problem",
			Content:     map[string]*huma.MediaType{problemType: {Schema: &huma.Schema{Ref: "#/components/schemas/Problem"}}},
		}},
	}
	for _, e := range edit {
		e(&op)
	}
	return op
}

// status makes an operation's usual status another one than 200 or 204.
func status(code int) func(*huma.Operation) {
	return func(op *huma.Operation) { op.DefaultStatus = code }
}

// alsoOK documents that an operation also answers 200, with the same body.
func alsoOK(description string) func(*huma.Operation) {
	return func(op *huma.Operation) {
		op.Extensions = map[string]any{alsoOKKey: description}
	}
}

// alsoOKKey is where alsoOK leaves a note for document.
const alsoOKKey = "x-also-ok"

// document is the OpenAPI document, complete.
func document(doc *huma.OpenAPI) ([]byte, error) {
	schemas := doc.Components.Schemas.Map()
	maps.DeleteFunc(schemas, func(name string, _ *huma.Schema) bool { return name == "ErrorModel" || name == "ErrorDetail" })
	orNull(schemas["Volume"], "parent")
	orNull(schemas["Made"], "parent")
	for _, schema := range schemas {
		for _, property := range schema.Properties {
			property.Nullable = property.Nullable && property.Type != huma.TypeArray // an empty list is []
		}
	}
	for _, path := range doc.Paths {
		for _, op := range []*huma.Operation{path.Put, path.Post} {
			if op == nil || op.Extensions[alsoOKKey] == nil {
				continue
			}
			same := *op.Responses["201"]
			same.Description, _ = op.Extensions[alsoOKKey].(string)
			op.Responses["200"] = &same
			op.Extensions = nil
		}
	}
	return json.MarshalIndent(doc, "", "  ")
}

// orNull lets a property that refers to another schema be null.
func orNull(s *huma.Schema, property string) {
	s.Properties[property] = &huma.Schema{OneOf: []*huma.Schema{s.Properties[property], {Type: "null"}}}
}

// asked calls the cluster for a request that changes nothing: it ends with its
// client, and with the time for requests.
func asked[T any](ctx context.Context, s *Server, fn func(context.Context, cinder.Volumes) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.RequestTimeout)
	defer cancel()
	return onCluster(ctx, s, fn)
}

// done is asked for a request that changes something. It goes on when its client
// has gone: to finish is better than to undo, and a repeated request finds it
// finished.
func done[T any](ctx context.Context, s *Server, fn func(context.Context, cinder.Volumes) (T, error)) (T, error) {
	alone, cancel := s.detached(ctx)
	defer cancel()
	alone, cancelTime := context.WithTimeout(alone, s.cfg.RequestTimeout)
	defer cancelTime()
	return onCluster(alone, s, fn)
}

// detached is ctx without the client: it ends when the server has no more time.
func (s *Server) detached(ctx context.Context) (context.Context, context.CancelFunc) {
	alone, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(s.hard, cancel)
	return alone, func() {
		stop()
		cancel()
	}
}
