package rbd

// openTarget is an image that librbd fills: one with anything unusual.
type openTarget struct {
	img  *openImage
	snap string
	at   uint64 // size now, in bytes
}

func (o *openTarget) size() uint64 { return o.at }

func (o *openTarget) grow(size uint64) error {
	o.at = size
	return o.img.resize(size, false)
}

func (o *openTarget) put(c chunk) (uint64, error) {
	_, err := native(o.img.s, "rbd_write", func() (int, error) { return o.img.WriteAt(c.data, int64(c.offset)) })
	return c.length, err
}

func (o *openTarget) seal(i *intent, size uint64) error {
	if err := o.img.resize(size, true); err != nil {
		return err
	}
	if err := run(o.img.s, "rbd_flush", o.img.Flush); err != nil {
		return err
	}
	if err := i.still(); err != nil {
		return err
	}
	return o.img.createSnapshot(o.snap)
}

func (o *openTarget) protect() error { return o.img.protect(o.snap) }

func (o *openTarget) end() {}
