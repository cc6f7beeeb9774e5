package sidecar

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documented is where the description of the API is committed. It is written by
// `rbdctl serve --print-openapi`.
var documented = filepath.Join("..", "..", "docs", "openapi.json")

// TestOpenAPIIsCurrent: what is committed is what a server says of itself.
func TestOpenAPIIsCurrent(t *testing.T) {
	want, err := OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile(documented)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(bytes.TrimSpace(have), bytes.TrimSpace(want)) {
		t.Errorf("%s is not current: bin/rbdctl serve --print-openapi > docs/openapi.json", documented)
	}
}

// TestOpenAPIIsServed over the socket, as it is committed.
func TestOpenAPIIsServed(t *testing.T) {
	r := start(t)
	want, err := OpenAPI()
	r.must(err)
	p := r.wants(http.StatusOK, http.MethodGet, "/openapi.json", nil)
	if p.text != string(want) || p.header.Get("Content-Type") != "application/openapi+json" {
		t.Errorf("%d bytes of %s, want %d", len(p.text), p.header.Get("Content-Type"), len(want))
	}
}

// TestOpenAPIIsValid checks the rules of OpenAPI 3.1 that a document can break
// which is made of types: references that lead nowhere, parameters that the path
// does not have, ids given twice.
func TestOpenAPIIsValid(t *testing.T) {
	text, err := OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc["openapi"].(string), "3.1.") {
		t.Errorf("openapi %v", doc["openapi"])
	}
	eachRef(doc, func(ref string) {
		var at any = doc
		for _, part := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
			level, _ := at.(map[string]any)
			at = level[part]
		}
		if at == nil {
			t.Errorf("nothing at %s", ref)
		}
	})
	ids := map[string]bool{}
	for path, item := range doc["paths"].(map[string]any) {
		for method, op := range item.(map[string]any) {
			op := op.(map[string]any)
			id := op["operationId"].(string)
			if ids[id] {
				t.Errorf("%s is the id of two operations", id)
			}
			ids[id] = true
			checkOperation(t, method+" "+path, path, op)
		}
	}
	if len(ids) < 25 {
		t.Errorf("only %d operations", len(ids))
	}
}

func checkOperation(t *testing.T, name, path string, op map[string]any) {
	t.Helper()
	var inPath, declared []string
	for _, m := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(path, -1) {
		inPath = append(inPath, m[1])
	}
	parameters, _ := op["parameters"].([]any)
	for _, p := range parameters {
		if p := p.(map[string]any); p["in"] == "path" {
			declared = append(declared, p["name"].(string))
			if p["required"] != true {
				t.Errorf("%s: %v is not required", name, p["name"])
			}
		}
	}
	slices.Sort(inPath)
	slices.Sort(declared)
	if !slices.Equal(inPath, declared) {
		t.Errorf("%s: parameters %v, declared %v", name, inPath, declared)
	}
	responses := op["responses"].(map[string]any)
	for status, r := range responses {
		if text(r.(map[string]any)["description"]) == "" {
			t.Errorf("%s: %s has no description", name, status)
		}
	}
	if responses["default"] == nil || len(responses) < 2 {
		t.Errorf("%s: responses %v", name, slices.Collect(maps.Keys(responses)))
	}
	if text(op["summary"]) == "" {
		t.Errorf("%s has no summary", name)
	}
}

func eachRef(v any, see func(string)) {
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			see(ref)
		}
		for _, inner := range v {
			eachRef(inner, see)
		}
	case []any:
		for _, inner := range v {
			eachRef(inner, see)
		}
	}
}

// TestAnswersAreAsDocumented: every field of an answer is in its schema, and every
// field that the schema requires is there.
func TestAnswersAreAsDocumented(t *testing.T) {
	r := start(t)
	path := r.volume(mib)
	var doc struct {
		Paths map[string]map[string]struct {
			Responses map[string]struct {
				Content map[string]struct {
					Schema struct {
						Ref string `json:"$ref"`
					} `json:"schema"`
				} `json:"content"`
			} `json:"responses"`
		} `json:"paths"`
		Components struct {
			Schemas map[string]struct {
				Required   []string       `json:"required"`
				Properties map[string]any `json:"properties"`
			} `json:"schemas"`
		} `json:"components"`
	}
	r.must(json.Unmarshal([]byte(r.wants(http.StatusOK, http.MethodGet, "/openapi.json", nil).text), &doc))
	for route, at := range map[string]string{
		"/v1/volumes/{id}":            path,
		"/v1/volumes":                 "/v1/volumes",
		"/v1/volumes/{id}/connection": path + "/connection",
		"/v1/stats":                   "/v1/stats",
		"/v1/trash":                   "/v1/trash",
		"/v1/jobs":                    "/v1/jobs",
		"/v1/manageable":              "/v1/manageable",
	} {
		answer := r.wants(http.StatusOK, http.MethodGet, at, nil).doc
		ref := doc.Paths[route]["get"].Responses["200"].Content["application/json"].Schema.Ref
		schema := doc.Components.Schemas[strings.TrimPrefix(ref, "#/components/schemas/")]
		if len(schema.Properties) == 0 {
			t.Errorf("%s: no schema %q", route, ref)
		}
		for field := range answer {
			if schema.Properties[field] == nil {
				t.Errorf("%s: %s is not documented", route, field)
			}
		}
		for _, field := range schema.Required {
			if _, there := answer[field]; !there {
				t.Errorf("%s: %s is missing in %v", route, field, answer)
			}
		}
	}
}
