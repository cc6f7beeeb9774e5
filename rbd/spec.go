package rbd

import (
	"strings"

	"rbdctl/internal/fault"
)

// ImageSpec names an image, as the rbd tool does: pool/[namespace/]image.
type ImageSpec struct {
	Pool, Namespace, Image string
}

// SnapSpec names a snapshot of an image: pool/[namespace/]image@snap.
type SnapSpec struct {
	ImageSpec
	Snap string
}

// At is the snapshot of s that is called snap.
func (s ImageSpec) At(snap string) SnapSpec { return SnapSpec{ImageSpec: s, Snap: snap} }

func (s ImageSpec) String() string {
	if s.Namespace == "" {
		return s.Pool + "/" + s.Image
	}
	return s.Pool + "/" + s.Namespace + "/" + s.Image
}

func (s SnapSpec) String() string { return s.ImageSpec.String() + "@" + s.Snap }

// ParseImageSpec reads pool/[namespace/]image. A malformed one is ErrInvalid.
func ParseImageSpec(text string) (ImageSpec, error) {
	if strings.Contains(text, "@") {
		return ImageSpec{}, malformed(text, "names a snapshot; want pool/[namespace/]image")
	}
	parts := strings.Split(text, "/")
	var s ImageSpec
	switch len(parts) {
	case 2:
		s = ImageSpec{Pool: parts[0], Image: parts[1]}
	case 3:
		s = ImageSpec{Pool: parts[0], Namespace: parts[1], Image: parts[2]}
		if s.Namespace == "" {
			return ImageSpec{}, malformed(text, "has an empty namespace")
		}
	default:
		return ImageSpec{}, malformed(text, "want pool/[namespace/]image")
	}
	return s, s.validate()
}

// ParseSnapSpec reads pool/[namespace/]image@snap. A malformed one is ErrInvalid.
func ParseSnapSpec(text string) (SnapSpec, error) {
	image, snap, ok := strings.Cut(text, "@")
	if !ok {
		return SnapSpec{}, malformed(text, "want pool/[namespace/]image@snap")
	}
	spec, err := ParseImageSpec(image)
	if err != nil {
		return SnapSpec{}, err
	}
	s := spec.At(snap)
	return s, s.validate()
}

func (s ImageSpec) validate() error {
	if err := CheckName("pool", s.Pool); err != nil {
		return err
	}
	if s.Namespace != "" {
		if err := CheckName("namespace", s.Namespace); err != nil {
			return err
		}
	}
	return CheckName("image", s.Image)
}

func (s SnapSpec) validate() error {
	if err := s.ImageSpec.validate(); err != nil {
		return err
	}
	return CheckName("snapshot", s.Snap)
}

// maxName is what RBD allows for an image's name (RBD_MAX_IMAGE_NAME_SIZE, 96,
// less the terminating zero).
const maxName = 95

// CheckName tells whether name can name a pool, namespace, image or snapshot in
// a spec without being mistaken for a part of it. what is the word for it in
// the error, which is ErrInvalid.
func CheckName(what, name string) error {
	switch {
	case name == "":
		return fault.Newf(ErrInvalid, "the %s has no name", what)
	case len(name) > maxName:
		return fault.Newf(ErrInvalid, "%s name of %d bytes: RBD allows %d", what, len(name), maxName)
	case strings.HasPrefix(name, "-"):
		return fault.Newf(ErrInvalid, "%s %q: a name must not begin with a dash", what, name)
	}
	for _, r := range name {
		if r <= ' ' || r == 0x7f || r > 0x7e || r == '/' || r == '@' {
			return fault.Newf(ErrInvalid, "%s %q: a name must not hold %q", what, name, r)
		}
	}
	return nil
}

func malformed(text, why string) error {
	return fault.Newf(ErrInvalid, "spec %q: %s", text, why)
}
