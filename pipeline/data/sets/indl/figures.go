package indl

import (
	"image/color"
	"math"
	"math/rand/v2"
)

// parameter is a number that decided about a drawing.
type parameter struct {
	name  string
	value float64
}

// figure draws one image of a set. different says whether there is a real
// difference; its size is the parameter "value", 0 if there is none.
type figure struct {
	title   string
	size    int  // pixels a side
	colour  bool // otherwise one bit
	unit    string
	compose func(r *rand.Rand, different bool) ([]stroke, []parameter)
}

var figures = []figure{
	{"Hering and Wundt", 256, true, "bend of the lines, share of the side; above 0: apart in the middle", hering},
	{"Müller-Lyer", 128, false, "upper length minus lower, share of the shorter", mullerLyer},
	{"Poggendorff", 128, false, "shift of the right half, share of the side; above 0: down", poggendorff},
	{"vertical-horizontal", 128, false, "vertical length minus horizontal, share of the shorter", verticalHorizontal},
	{"Zöllner", 128, false, "angle between the lines, degrees; above 0: apart on the right", zollner},
}

var (
	black = color.NRGBA{0, 0, 0, 255}
	red   = color.NRGBA{214, 39, 40, 255}
	rays  = []color.NRGBA{black, {31, 119, 180, 255}, {44, 160, 44, 255}, {127, 127, 127, 255}}
)

func uniform(r *rand.Rand, low, high float64) float64 { return low + (high-low)*r.Float64() }

// signed is a difference of low to high with a random sign, or none.
func signed(r *rand.Rand, different bool, low, high float64) float64 {
	size, sign := uniform(r, low, high), float64(2*r.IntN(2)-1) // drawn always: what follows is alike for both labels
	if !different {
		return 0
	}
	return sign * size
}

func line(a, b point, width float64) stroke { return stroke{[]point{a, b}, width, black} }

// hering draws two lines before rays that meet in the middle (Hering 1861), or
// left and right of it (Wundt 1898).
func hering(r *rand.Rand, different bool) ([]stroke, []parameter) {
	const size = 256
	bend := signed(r, different, 0.012, 0.06)
	wundt, count := float64(r.IntN(2)), 12+r.IntN(21)
	apart, turn, ink := uniform(r, 0.16, 0.3), float64(90*r.IntN(2)), rays[r.IntN(len(rays))]
	c := middle(size)
	place := func(p point) point { return c.add(p.turned(turn)) }
	var list []stroke
	centres := []point{{0, 0}}
	if wundt == 1 {
		centres = []point{{-size / 2, 0}, {size / 2, 0}}
	}
	for _, centre := range centres {
		for i := range count {
			d := direction(180 * (float64(i) + 0.5) / float64(count)).scale(2 * size)
			list = append(list, stroke{[]point{place(centre.add(d)), place(centre.add(d.scale(-1)))}, 1.2, ink})
		}
	}
	for _, side := range []float64{-1, 1} {
		var curve []point
		for t := -1.0; t <= 1.001; t += 1.0 / 16 { // a parabola whose ends stay where they are
			curve = append(curve, place(point{t * 0.46 * size, side * size * (apart/2 + bend*(1-t*t)/2)}))
		}
		list = append(list, stroke{curve, 3, red})
	}
	return list, []parameter{{"value", bend}, {"wundt", wundt}, {"rays", float64(count)}, {"apart", apart}, {"turn_degrees", turn}}
}

// lengths are those of two lines, in whole pixels: equal, or apart by 8 to 45 %
// of the shorter, and by 3 pixels at least.
func lengths(r *rand.Rand, different bool, low, high int) (first, second, value float64) {
	shorter := float64(low + r.IntN(high-low+1))
	value = signed(r, different, 0.08, 0.45)
	longer := math.Round(shorter * (1 + math.Abs(value)))
	if value != 0 {
		longer = math.Max(longer, shorter+3)
	}
	if value > 0 {
		return longer, shorter, longer/shorter - 1
	}
	return shorter, longer, 1 - longer/shorter
}

// mullerLyer draws two lines, one with fins inward, one outward (Müller-Lyer
// 1889).
func mullerLyer(r *rand.Rand, different bool) ([]stroke, []parameter) {
	const size = 128
	upper, lower, value := lengths(r, different, 34, 56)
	angle, fin, inward := uniform(r, 20, 60), uniform(r, 9, 17), float64(r.IntN(2))
	y, apart, width := float64(size/2+r.IntN(13)-6), float64(36+2*r.IntN(10)), float64(1+r.IntN(2))
	var list []stroke
	for i, length := range []float64{upper, lower} {
		side := float64(2*i - 1)
		x := size/2 + float64(r.IntN(13)-6)
		left, right := point{x - length/2, y + side*apart/2}, point{x + length/2, y + side*apart/2}
		list = append(list, line(left, right, width))
		in := 1.0 // fins point into the line
		if (inward == 1) != (i == 0) {
			in = -1
		}
		for _, turn := range []float64{-angle, angle} {
			d := direction(turn).scale(fin * in)
			list = append(list, line(left, left.add(d), width), line(right, right.add(point{-d.x, d.y}), width))
		}
	}
	return list, []parameter{{"value", value}, {"upper_pixels", upper}, {"lower_pixels", lower}, {"fin_degrees", angle}, {"fin_pixels", fin}, {"upper_inward", inward}, {"apart_pixels", apart}, {"width", width}}
}

// poggendorff draws a slanted line that passes behind a band (Zöllner 1860).
func poggendorff(r *rand.Rand, different bool) ([]stroke, []parameter) {
	const size = 128
	shift := signed(r, different, 0.04, 0.18)
	angle, band := uniform(r, 25, 50)*float64(2*r.IntN(2)-1), float64(20+2*r.IntN(14))
	height, width := uniform(r, 84, 116), float64(1+r.IntN(2))
	c := middle(size).add(point{float64(r.IntN(13) - 6), float64(r.IntN(13) - 6)})
	d := direction(angle)
	at := func(x, down float64) point { return c.add(point{x, x*d.y/d.x + down}) }
	reach := math.Min(band/2+40*d.x, math.Min(54, 50*math.Abs(d.x/d.y))) // within the picture
	list := []stroke{
		line(at(-reach, 0), at(-band/2, 0), width),
		line(at(band/2, shift*size), at(reach, shift*size), width),
	}
	corners := []point{{-band / 2, -height / 2}, {band / 2, -height / 2}, {band / 2, height / 2}, {-band / 2, height / 2}}
	for i, p := range corners {
		list = append(list, line(middle(size).add(point{c.x - size/2, 0}).add(p), middle(size).add(point{c.x - size/2, 0}).add(corners[(i+1)%4]), width))
	}
	return list, []parameter{{"value", shift}, {"angle_degrees", angle}, {"band_pixels", band}, {"band_height", height}, {"width", width}}
}

// verticalHorizontal draws a line that stands on another, somewhere along it
// (Fick 1851).
func verticalHorizontal(r *rand.Rand, different bool) ([]stroke, []parameter) {
	const size = 128
	vertical, horizontal, value := lengths(r, different, 40, 72)
	where, width, lean := uniform(r, 0, 1), float64(1+r.IntN(2)), uniform(r, -12, 12)
	c := middle(size).add(point{float64(r.IntN(9) - 4), vertical/2 + float64(r.IntN(9)-4)})
	foot := c.add(point{(where - 0.5) * horizontal, 0})
	list := []stroke{
		line(c.add(point{-horizontal / 2, 0}), c.add(point{horizontal / 2, 0}), width),
		line(foot, foot.add(direction(-90+lean).scale(vertical)), width),
	}
	return list, []parameter{{"value", value}, {"vertical_pixels", vertical}, {"horizontal_pixels", horizontal}, {"foot", where}, {"lean_degrees", lean}, {"width", width}}
}

// zollner draws two lines with slanted hatches (Zöllner 1860).
func zollner(r *rand.Rand, different bool) ([]stroke, []parameter) {
	const size = 128
	tilt := signed(r, different, 2.5, 10)
	slant, hatch, step := uniform(r, 20, 60)*float64(2*r.IntN(2)-1), uniform(r, 7, 12), uniform(r, 8, 14)
	apart, width, turn := uniform(r, 30, 46), float64(1+r.IntN(2)), uniform(r, -8, 8)
	c := middle(size)
	var list []stroke
	for _, side := range []float64{-1, 1} {
		along := direction(turn + side*tilt/2)
		centre := c.add(direction(turn + 90).scale(side * apart / 2))
		list = append(list, line(centre.add(along.scale(-54)), centre.add(along.scale(54)), width))
		for x := -50.0; x <= 50; x += step {
			p, d := centre.add(along.scale(x)), direction(turn+side*tilt/2+side*slant).scale(hatch)
			list = append(list, line(p.add(d.scale(-1)), p.add(d), 1))
		}
	}
	return list, []parameter{{"value", tilt}, {"slant_degrees", slant}, {"hatch_pixels", hatch}, {"step_pixels", step}, {"apart_pixels", apart}, {"turn_degrees", turn}, {"width", width}}
}
