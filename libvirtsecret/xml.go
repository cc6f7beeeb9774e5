package libvirtsecret

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"

	"libvirt.org/go/libvirtxml"

	"rbdctl/internal/fault"
)

// maxXML bounds the description of a secret that is parsed, in bytes. libvirt's
// own are a few hundred bytes; a hostile or broken peer must not cost memory.
const maxXML = 64 << 10

// usageCeph is the usage type of the secrets that this package handles.
const usageCeph = "ceph"

// marshalXML is the definition of s as libvirt takes it.
func marshalXML(s Secret) (string, error) {
	doc := libvirtxml.Secret{
		Ephemeral:   yesNo(s.Ephemeral),
		Private:     yesNo(s.Private),
		Description: s.Description,
		UUID:        s.UUID,
		Usage:       &libvirtxml.SecretUsage{Type: usageCeph, Name: s.Usage},
	}
	return doc.Marshal()
}

// parseXML reads the definition of a secret. usageType is "ceph", another of
// libvirt's usage types, or empty for a secret without a usage; the usage name is
// only there for "ceph".
func parseXML(doc string) (s Secret, usageType string, err error) {
	if len(doc) > maxXML {
		return Secret{}, "", fault.Newf(ErrInvalid, "secret xml is %d bytes long: at most %d", len(doc), maxXML)
	}
	var parsed libvirtxml.Secret
	if err := parsed.Unmarshal(doc); err != nil {
		return Secret{}, "", fault.Newf(ErrInvalid, "secret xml: %s", oneLine(err.Error()))
	}
	s = Secret{
		UUID:        strings.ToLower(strings.TrimSpace(parsed.UUID)),
		Description: parsed.Description,
		Private:     parsed.Private == "yes",
		Ephemeral:   parsed.Ephemeral == "yes",
	}
	if parsed.Usage == nil {
		return s, "", nil
	}
	if parsed.Usage.Type == usageCeph {
		s.Usage = parsed.Usage.Name
	}
	return s, parsed.Usage.Type, nil
}

// refersTo tells whether a domain's or a storage pool's XML names the secret s,
// by UUID or by usage name. It looks at every <secret> element wherever it is:
// disks, their backing chains and mirrors, and host devices all may have one.
func refersTo(doc string, s Secret) (bool, error) {
	tokens := xml.NewDecoder(strings.NewReader(doc))
	for {
		token, err := tokens.Token()
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, fault.Newf(ErrInvalid, "xml: %s", oneLine(err.Error()))
		}
		element, ok := token.(xml.StartElement)
		if !ok || element.Name.Local != "secret" {
			continue
		}
		for _, attr := range element.Attr {
			switch {
			case attr.Name.Local == "uuid" && strings.EqualFold(attr.Value, s.UUID),
				attr.Name.Local == "usage" && s.Usage != "" && attr.Value == s.Usage:
				return true, nil
			}
		}
	}
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
