package serving

// Limits bound what requests may cost.
type Limits struct {
	MaxBody     int64 // bytes of one request, as it is sent and unpacked; default 64 MiB
	MaxInFlight int64 // bytes of all requests at once; default 4 x MaxBody
	MaxPixels   int64 // an encoded image may declare; default 50 million
}

func (l Limits) fill() Limits {
	if l.MaxBody <= 0 {
		l.MaxBody = 64 << 20
	}
	if l.MaxPixels <= 0 {
		l.MaxPixels = 50_000_000
	}
	return l
}
