package record

import (
	"fmt"
	"math"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// Summarize makes the quantiles of a histogram of nanoseconds and encodes it.
func Summarize(h *hdr.Histogram) Quantiles {
	us := func(ns int64) float64 { return math.Round(float64(ns)/10) / 100 }
	q := Quantiles{h: h}
	if h.TotalCount() == 0 {
		return q
	}
	q.Mean = us(int64(h.Mean()))
	q.P50, q.P90, q.P99 = us(h.ValueAtQuantile(50)), us(h.ValueAtQuantile(90)), us(h.ValueAtQuantile(99))
	q.P999, q.P9999, q.Max = us(h.ValueAtQuantile(99.9)), us(h.ValueAtQuantile(99.99)), us(h.Max())
	q.Hist = encode(h)
	return q
}

// At is the q-th percentile (0..100) in microseconds; the histogram is decoded when needed.
func (q *Quantiles) At(percent float64) float64 {
	h, err := q.Histogram()
	if err != nil || h.TotalCount() == 0 {
		return 0
	}
	return float64(h.ValueAtQuantile(percent)) / 1e3
}

// Histogram is the whole histogram, in nanoseconds.
func (q *Quantiles) Histogram() (*hdr.Histogram, error) {
	if q.h != nil {
		return q.h, nil
	}
	h, err := decode(q.Hist, 3)
	q.h = h
	return h, err
}

func encode(h *hdr.Histogram) string {
	b, err := h.Encode(hdr.V2CompressedEncodingCookieBase)
	if err != nil {
		return "" // cannot happen: the cookie is the supported one
	}
	return string(b)
}

func decode(text string, digits int) (*hdr.Histogram, error) {
	if text == "" {
		return newHist(digits), nil
	}
	h, err := hdr.Decode([]byte(text))
	if err != nil {
		return newHist(digits), fmt.Errorf("record: %w: a histogram cannot be read: %w", ErrSchema, err)
	}
	return h, nil
}
