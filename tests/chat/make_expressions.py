"""Writes golden/expressions.json: small templates, each a construct, as jinja2 renders them.

    python make_expressions.py        (jinja2 3.1.6)
"""

import json
import pathlib

from reference import render

VARIABLES = {
    "s": "Hello, wörld of Größe! ", "e": "", "a": "aXbXc", "w": "  \t two  words \n", "q": "it's \"q\"\n\\",
    "u": "日本語 ﬁne ŉ İ ΑΣ Σ", "digits": "123", "lines": "one\r\ntwo\n\nthree\u2028four",
    "i": 7, "n": -3, "z": 0, "f": 2.5, "big": 1e16, "tiny": 1e-05, "t": True, "no": False, "none": None,
    "l": [3, 1, 2], "ls": ["b", "A", "c", "a"], "el": [], "nested": [1, [2, "x", None], {"k": 1.0}],
    "d": {"b": 1, "a": [1, 2], "B": {"x": None}}, "ed": {}, "mixed": {"items": 5, "x y": "v", "1": "one"},
    "people": [{"name": "Ann", "age": 31, "city": {"n": "Bonn"}, "on": True},
               {"name": "bob", "age": 25, "city": {"n": "Aachen"}, "on": False},
               {"name": "Cy", "age": 31, "city": {"n": "bonn"}, "on": True},
               {"name": "dee", "city": {"n": "Celle"}}],
    "schema": {"type": "object", "properties": {"é": {"type": "string", "enum": ["<a>", "'b'", "\u007f\u0001"]},
                                                 "n": {"type": "number", "default": 1.5}}, "required": []},
}

EXPRESSIONS = r"""
1 + 2 * 3
7 / 2
-7 // 2
7 // -2
-7 % 3
7 % -3
7.5 // 2
-7.5 % 2
2 ** 10
2 ** -1
2 ** 3 ** 2
-2 ** 2
1_000 + 0x1F + 0b101 + 0o17
1e3
1.5e-7
.5
10 / 5
0.1 + 0.2
1e22
123456789.123456789
1e15
1e16
big
tiny
1 / 0
1 // 0
1 % 0
1.0 / 0
1.0 % 0
0 ** -1
9223372036854775807
+i
-n
-t
- s
true + true
1 == 1.0
1 == true
'1' == 1
none == false
undef == undef
undef == none
1 < 2 < 3
1 < 3 < 2
1 < 2 == 2
'a' < 'b'
'B' < 'a'
'é' > 'z'
1 < 'a'
none < 1
[1, 2] < [1, 3]
[1] < (1,)
(1, 2) == (1, 2)
[1, 2] == (1, 2)
{'a': 1} == {'a': 1.0}
undef < 1
1 in l
4 in l
4 not in l
'ell' in s
1 in s
none in [none]
'b' in d
'zz' in d
1 in 5
'x' in undef
[] in d
not 1
not e
not undef
not not l
1 and 0
1 and 2
0 or 'x'
'' or none
e or el or ed or 'end'
1 if t
1 if no
1 if no else 2
(1 if no else 2) if t else 3
1 if no else 2 if no else 3
(1 if no).x
s ~ 1 ~ none ~ undef ~ 1.0 ~ [1]
s + 1
1 + s
'a' + 'b'
[1] + [2]
[1] + (2,)
(1,) + (2,)
'ab' * 3
3 * 'ab'
'ab' * -1
[1, 'x'] * 2
'a' * 1.5
'ab' - 'a'
none + 1
undef + 1
undef.x
undef['x']
undef()
undef
none
none.x
none.x.y
none()
i.x
i[0]
s.x
s[0]
s[-1]
s[100]
s[7]
s['upper']()
u[0] ~ u[-1] ~ u[2]
u[1:3]
u[::-1]
u[::2]
s[2:]
s[:-3]
s[-4:-1]
s[10:2]
s[10:2:-2]
s[::-1]
s[::0]
s[1:'x']
l[0]
l[-1]
l[5]
l['x']
l[1:]
l[::-1]
l[-2:]
l[:1]
l[5:]
l[2:0:-1]
(1, 2, 3)[1:]
range(5)[1:3]
l[1.0]
l[true]
d['b']
d.b
d['missing']
d.missing
d.missing.x
d.a[0]
d['B']['x']
d[1]
d[[1]]
d[0:1]
mixed.items is callable
mixed['items']
mixed['x y']
mixed['1']
mixed.1
nested.1.0
nested[1][1]
nested
d
ed
el
()
(1,)
(1, 'a')
[[1, 2], ['it''s']]
{'a': 1, 'b': [1, 2], 1: none, none: true}
{'a': 1, 'a': 2}
{1: 'x', 1.0: 'y', true: 'z'}
{[1]: 2}
['q"', "q'", 'q\'"', '\n\t\\', '\x00\x7f', 'é', '\u200b\u3000']
q
[q]
'a' 'b' "c"
'\x41\u00e9\U0001F600\101\q'
"\n" ~ '\'' ~ "\""
1, 2
true
True
None
[t, no, none]
s.upper()
s.lower()
s.title()
s.capitalize()
s.swapcase()
u.upper()
u.lower()
u.title()
u.capitalize()
'ß'.upper() ~ 'ﬁ'.upper() ~ 'ǆ'.title() ~ 'ΐ'.upper() ~ 'ᾳ'.upper()
"they're bill's".title()
"they're bill's"|title
"foo-bar (baz) [qux] <x> {y}"|title
'ǆa'|title
w.strip() ~ '|'
w.lstrip() ~ '|'
w.rstrip() ~ '|'
a.strip('ac')
a.strip('')
a.strip(none)
a.strip(1)
'xxhixx'.lstrip('x')
'<think>hi</think>'.rstrip('</think>')
a.split('X')
a.split('X', 1)
a.split('X', maxsplit=1)
a.split(sep='X')
a.split('')
a.split('Z')
w.split()
' a b  c '.split(none, 1)
' a b  c '.rsplit(none, 1)
' a b  c '.rsplit()
a.rsplit('X', 1)
'aaa'.split('aa')
'aaa'.rsplit('aa')
e.split()
e.split('x')
lines.splitlines()
lines.splitlines(true)
'a\n'.splitlines()
a.replace('X', '-')
a.replace('X', '-', 1)
a.replace('', '-')
'é'.replace('', '-')
'aaa'.replace('aa', 'b')
a.replace('X')
a.replace(1, 2)
a.startswith('aX')
a.startswith(('q', 'a'))
a.startswith(['a'])
a.startswith('X', 1)
a.startswith('X', 1, 1)
a.startswith('', 9)
a.endswith('c')
a.endswith(('x', 'c'))
a.endswith('X', 0, 2)
a.find('X')
a.find('X', 2)
a.find('z')
s.find('rld')
a.rfind('X')
a.index('z')
a.index('b')
s.rindex('w')
a.count('X')
'aaaa'.count('aa')
s.count('')
s.count('o', 3, 9)
', '.join(ls)
', '.join(l)
'-'.join('abc')
'-'.join(d)
'{} {}'.format(1, 'x')
'{0}{1}{0}'.format('a', 'b')
'{x} {y[b]} {y[a][0]}'.format(x=1, y=d)
'{:>5}|{:<5}|{:^5}|{:*^7}'.format('a', 'b', 'c', 'd')
'{:05d} {:+d} {:,} {:_} {:x} {:#X} {:b} {:o}'.format(42, 42, 1234567, 1234567, 255, 255, 5, 8)
'{:.2f} {:8.3f} {:e} {:g} {:%} {:.1%}'.format(3.14159, 2.5, 12345.678, 0.0001, 0.25, 0.125)
'{!r} {!s}'.format('a', 'b')
'{{}} {}'.format(1)
'{:{}}'.format('a', 4)
'{:>{w}}'.format('a', w=4)
'{} {0}'.format(1)
'{1}'.format(1)
'{x}'.format(1)
'{'.format(1)
'}'.format(1)
'{:d}'.format('x')
'{:s}'.format(1)
'{:.3}'.format('abcdef')
'{:.3}'.format(3.14159)
'{}'.format(none)
'{:5}'.format(none)
'{} {} {}'.format(t, 1.0, [1])
'{0.name}'.format({'name': 'x'})
'%s and %s' % ('a', 1)
'%d%%' % 50
'%05.2f|%-6s|%6s|%+d' % (3.14159, 'ab', 'cd', 5)
'%x %X %#x %o' % (255, 255, 255, 8)
'%(a)s %(b)d' % {'a': 'x', 'b': 2}
'%s' % none
'%s' % [1, 2]
'%s' % undef
'%d' % '1'
'%d' % 1.9
'%s %s' % 'a'
'%s' % (1, 2)
'x' % 1
'x' % {}
'%r %s' % ('a', 'a')
'%c%c' % (65, 'b')
'%.2s' % 'abc'
'%*d' % (5, 3)
'%e %G' % (12345.678, 0.00001)
'%5.1f%%' % 12.34
'%q' % 1
'%' % 1
'%(a)s' % 1
'abc'.isalpha() ~ 'ab1'.isalpha() ~ ''.isalpha()
digits.isdigit() ~ '²'.isdigit() ~ '½'.isdigit() ~ '-1'.isdigit()
'²'.isdecimal() ~ '½'.isnumeric() ~ 'a1'.isalnum()
'Ab'.isupper() ~ 'AB1'.isupper() ~ 'ab'.islower() ~ '1'.islower()
' \t'.isspace() ~ 'Ab Cd'.istitle() ~ 'é'.isascii()
'a'.zfill(3) ~ '-1'.zfill(4) ~ 'a'.ljust(3) ~ '|' ~ 'a'.rjust(3, '.') ~ 'ab'.center(5, '*') ~ 'a'.center(4)
'a\tb'.expandtabs(4)
'a=b=c'.partition('=')
'a=b=c'.rpartition('=')
'abc'.partition('=')
'abc'.rpartition('=')
'unhappy'.removeprefix('un') ~ 'cats'.removesuffix('s')
s.__class__
s.__class__.x
s.nope()
s.encode('x')
d.get('b')
d.get('zz')
d.get('zz', 'other')
d.get()
d.items()
d.items()|list
d.items()[0]
d.keys()
d.values()|list
d.keys()|length
ed.items()|list
d.copy()
d.update({'x': 1})
d.pop('b')
d.clear()
d.setdefault('a', 1)
l.append(4)
l.pop()
l.sort()
l.index(1)
l.index(9)
l.count(1)
(1, 2, 1).count(1)
l.upper()
range(5)
range(5)|list
range(2, 8, 3)|list
range(5, 0, -2)|list
range(0)|list
range(3)|length
range(1.5)
range('a')
range(100000)|length
range(100001)
range(10**9)
range(1, 2, 0)
dict(a=1, b=2)
dict({'a': 1}, b=2)
dict([['a', 1], ['b', 2]])
namespace(a=1).a
namespace(a=1)['a']
namespace(a=1).b
namespace({'x': 2}).x
namespace(_x=1)
raise_exception('stop it')
strftime_now('%Y-%m-%d %H:%M:%S')
strftime_now('%d %b %Y')
strftime_now('%A, %B %d, %Y %I:%M %p %j %y %a %U %W %w %u')
strftime_now('%-d %-m %e %F %T %D %R %% %n')
strftime_now('%c|%x|%X')
e|default('x')
e|default('x', true)
none|default('x')
undef|default('x')
undef.x|default('x')
d.zz|default('x')
undef|default
undef|d('y', boolean=true)
s|length
u|length
l|length
d|count
undef|length
none|length
i|length
l|map('string')|length
s|upper
s|lower
s|capitalize
none|upper
i|lower
w|trim ~ '|'
a|trim('ac')
a|trim(chars='a')
i|trim
none|trim
s|replace('l', 'L')
s|replace('l', 'L', 1)
i|replace('7', '8')
s|replace(1, 2)
s|replace('l')
s|string
none|string
l|string
'<a href="x">&\'</a>'|escape
'<'|e ~ '<'
'<'|e + '<'
'<'|safe + '<'
'<b>'|safe
'<'|e|e
'<'|e|forceescape
'<'|e is escaped
'%s'|format('x')
'%s %d'|format('x', 2)
'%(a)s'|format(a=1)
'%s'|format
'a\nb\n\nc'|indent
'a\nb\n\nc'|indent(2, true)
'a\nb\n\nc'|indent(width=2, first=true, blank=true)
'a\nb'|indent('> ')
'a\n'|indent ~ '|'
e|indent ~ '|'
i|indent
'hello world foo'|wordcount
s|wordcount
'abc'|center(9) ~ '|'
'hello big world'|truncate(9)
'hello big world'|truncate(9, true)
'hello big world'|truncate(9, false, '...', 0)
'hello big world'|truncate(9, true, '', 0)
'abc'|truncate(2)
'12'|int
'12.9'|int
' 12 '|int
'x'|int
'x'|int(5)
'1_000'|int
'ff'|int(base=16)
'0x1f'|int(0, 16)
'0x1f'|int
'0b11'|int(0, 2)
12.9|int
-12.9|int
t|int
none|int
undef|int
l|int
'1e3'|int
'inf'|int
'nan'|int(3)
'12'|float
'x'|float
'1e3'|float
' -1.5 '|float
'inf'|float
'-Infinity'|float
'nan'|float
none|float(1.5)
7|float
undef|float
-3|abs
-2.5|abs
t|abs
'x'|abs
2.5|round
3.5|round
2.675|round(2)
42.55|round(1, 'floor')
42.55|round(1, 'ceil')
42|round
42|round(1)
1234.5|round(-2)
1250|round(-2)
42.5|round(method='x')
2.5|round(0)|int
'x'|round
t|round
1.005|round(2)
ls|join
ls|join(', ')
l|join(1)
people|join(', ', attribute='name')
people|join('|', 'city.n')
'abc'|join('-')
5|join
undef|join('x')
d|join(',')
[1, none, undef, 2.0]|join(',')
l|first
l|last
el|first
el|last
s|first
s|last
d|first
d|last
undef|first
5|first
range(5)|last
l|map('string')|first
l|map('string')|last
el|first is defined
l|list
s|list
d|list
5|list
undef|list
l|reverse|list
s|reverse
d|reverse|list
l|map('string')|reverse
5|reverse
l|sort
ls|sort
ls|sort(true)
ls|sort(case_sensitive=true)
ls|sort(reverse=true, case_sensitive=true)
['b', 1]|sort
people|sort(attribute='age')|map(attribute='name')|join(',')
people[:3]|sort(attribute='age')|map(attribute='name')|join(',')
people[:3]|sort(attribute='age', reverse=true)|map(attribute='name')|join(',')
people[:3]|sort(attribute='age,name')|map(attribute='name')|join(',')
people|sort(attribute='city.n')|map(attribute='name')|join(',')
d|dictsort
d|dictsort(true)
d|dictsort(reverse=true)
{'a': 2, 'b': 1}|dictsort(by='value')
{'a': 2, 'b': 1}|dictsort(false, 'value', true)
d|dictsort(by='x')
l|dictsort
d|items|list
undef|items|list
l|items|list
[1, 2, 1, 3, 2]|unique|list
ls|unique|list
['a', 'A', 'b']|unique|list
['a', 'A', 'b']|unique(true)|list
people|unique(attribute='age')|map(attribute='name')|list
[[1], [1]]|unique|list
l|min
l|max
ls|min
ls|max(case_sensitive=true)
people[:3]|min(attribute='age')
people[:3]|max(attribute='city.n')
el|min
el|max is defined
[1, 'a']|max
l|sum
el|sum
l|sum(start=10)
people[:3]|sum(attribute='age')
[[1], [2]]|sum(start=[])
['a']|sum
[1.5, 2]|sum
l|batch(2)|list
l|batch(2, 'x')|list
l|slice(2)|list
[1, 2, 3, 4, 5, 6, 7]|slice(3)|list
[1, 2, 3, 4, 5, 6, 7]|slice(3, 'x')|list
l|slice(0)|list
l|map('string')|list
ls|map('upper')|join
ls|map('replace', 'a', 'x')|join
people|map(attribute='name')|list
people|map(attribute='age', default=0)|list
people|map(attribute='age')|list
people|map(attribute='city.n')|join('/')
people|map(attribute='zz')|list
nested[1:2]|map(attribute=1)|list
l|map('nope')|list
l|map(foo=1)|list
[0, 1, '', 'x', none]|select|list
l|select('odd')|list
l|select('>', 1)|list
l|select('divisibleby', 2)|list
l|reject('odd')|list
l|reject('equalto', 1)|list
l|select('nope')|list
people|selectattr('on')|map(attribute='name')|list
people|rejectattr('on')|map(attribute='name')|list
people|selectattr('age', 'equalto', 31)|map(attribute='name')|list
people|selectattr('age', '==', 31)|list|length
people|rejectattr('age', 'undefined')|map(attribute='name')|list
people|selectattr('city.n', 'in', ['Bonn', 'Celle'])|map(attribute='name')|list
people|selectattr('on', 'defined')|list|count
people|selectattr|list
(people|selectattr('zz')) is defined
(people|selectattr('zz')) and 'truthy'
people|groupby('on')|length
people[:3]|groupby('age')
people|groupby('city.n')|map(attribute='grouper')|list
people|groupby('city.n', case_sensitive=true)|map('first')|list
people|groupby('age', default=0)|map('first')|list
schema|tojson
schema|tojson(indent=2)
schema|tojson(indent=0)
schema|tojson(ensure_ascii=true)
schema|tojson(separators=(',', ':'))
schema|tojson(sort_keys=true, indent=4)
q|tojson
u|tojson
u|tojson(true)
'😀'|tojson(ensure_ascii=true)
i|tojson ~ f|tojson ~ t|tojson ~ none|tojson ~ tiny|tojson ~ big|tojson
(1, 2)|tojson
{1: 1, none: 2, true: 3, 1.5: 4}|tojson
el|tojson(indent=2)
ed|tojson
undef|tojson
range(3)|tojson
d.items()|tojson
l|map('string')|tojson
'inf'|float|tojson
d|attr('get') is callable
d|attr('b')
s|attr('upper') is callable
d|attr('b') is defined
none is none
undef is none
e is none
undef is defined
d.zz is defined
d.b is defined
none is defined
undef is undefined
undef is not defined
s is string
i is string
s is not string
d is mapping
l is mapping
namespace() is mapping
l is iterable
s is iterable
d is iterable
i is iterable
undef is iterable
none is iterable
l is sequence
s is sequence
d is sequence
i is sequence
undef is sequence
d.items() is sequence
range(3) is sequence
l|map('string') is sequence
(l|map('string')) is iterable
(1,) is sequence
i is number
f is number
t is number
s is number
i is integer
t is integer
f is float
i is float
t is boolean
i is boolean
t is true
1 is true
no is false
none is false
3 is odd
4 is even
3.0 is odd
'x' is odd
-3 is odd
6 is divisibleby 3
6 is divisibleby(4)
6 is divisibleby 0
1 is equalto 1
1 is eq 2
1 is ne 2
1 is lt 2
2 is gt 1
2 is greaterthan(1)
1 is lessthan 2
2 is ge 2
2 is le 1
1 is in [1, 2]
1 is not in [1, 2]
'a' is in 'abc'
'abc' is lower
'ABC' is upper
'Ab' is lower
range is callable
s.upper is callable
i is callable
none is sameas none
t is sameas true
1 is sameas true
1 is sameas 2
'upper' is filter
'nope' is filter
'odd' is test
1 is nope
s is string and i is number
not s is string
s is string is string
x is defined is defined
1 is eq 1 and 2
l is sequence or nope
s|nope
s|upper(1)
s|default(1, 2, 3)
s|default(zz=1)
'a'.upper(1)
(1, 2)|list
l|length > 2 and l|length < 5
-l|length
(l|length) + 1
l|length + 1
s|trim|upper|length
[1, 2][0]
[1, 2,]
{'a': 1,}
{'a': 1}.a
{'a': {'b': [1, {'c': 2}]}}.a.b[1].c
('a' ~ 'b').upper()
'a'.upper()|lower ~ 'B'|lower
(s|upper).lower()
people[0].name ~ people[1]['name']
people[-1].age
people[9].name
people[9]
d.a is sequence and d.a[0] == 1
'<|' ~ 'im' ~ '|>'
"a" if d.a is defined and d.a|length > 1 else "b"
range(3)|map('string')|join(',')
'x'.join(['a'] * 3)
[]|join or 'nothing'
{} or 'empty'
'  ' or 'spaces'
0.0 or 'zero'
'%s' % ('a',) ~ '%s' % 'b'
l|sort|first
ls|map('lower')|sort|join(' ')
d|length == 3
s.split(',')[0]
s.split(',')[-1].strip()
'</think>' in 'a</think>b'
'a</think>b'.split('</think>')[-1].lstrip('\n')
[1,2,3]|sum / 2
i // 2 * 2 == i
(i, f)|max
5 if i > 3 else none
none ~ ''
'a' < 'b' < 'c'
'a' == 'a' == 'a'
1 != 2 != 1
*l
lambda
a b
1 +
(1
[1
{'a'}
{'a': }
x.
x[
'abc
1 if
a|
a is
f(a=1, 2)
f(**d, 1)
range(*[1, 4])|list
dict(**{'a': 1})
dict(*[{'a': 1}])
dict(**l)
range(*5)
1.5.x
1..x
a.0
'é'|upper
'\u00e9' == 'é'
'a' 'b'|upper
"%s"|format(1)|int + 1
9 % 5 ~ '%'
[none, true, 1.0, 'a']|string
l == [3, 1, 2]
l != [3, 1, 2]
1 - 1.0
1e308 * 10
-(1e308 * 10)
0 * -1.0
3 % 1.5
-0.0
5 // 0.3
5.5 // -2
7 ** 0.5
10.0 ** 400
loop
"""

BLOCKS = r"""
{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }} {% endfor %}
{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {% endfor %}
{% for x in l %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }}{% endfor %}
{% for x in l %}{{ loop.previtem.x }}{% endfor %}
{% for x in l %}{{ loop.cycle('a', 'b') }}{% endfor %}
{% for x in l %}{{ loop.cycle() }}{% endfor %}
{% for x in [1, 1, 2, 2, 1] %}{{ loop.changed(x) }} {% endfor %}
{% for x in l %}{{ loop.zz }}|{{ loop['index'] }}{% endfor %}
{% for x in l %}{{ loop.zz.y }}{% endfor %}
{% for x in el %}x{% else %}none{% endfor %}
{% for x in l if x > 5 %}x{% else %}none{% endfor %}
{% for x in l if x > 1 %}{{ loop.index }}/{{ loop.length }}:{{ x }} {% endfor %}
{% for x in l if loop.first %}{{ x }}{% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}
{% for k in d %}{{ k }}{% endfor %}
{% for a, b in [[1, 2], (3, 4), 'xy'] %}{{ a }}{{ b }};{% endfor %}
{% for a, (b, c) in [[1, [2, 3]]] %}{{ a }}{{ b }}{{ c }}{% endfor %}
{% for a, b in [[1, 2, 3]] %}{% endfor %}
{% for a, b in [[1]] %}{% endfor %}
{% for a, b in [1] %}{% endfor %}
{% for c in s %}{{ c }}.{% endfor %}
{% for x in undef %}x{% else %}else{% endfor %}
{% for x in none %}x{% endfor %}
{% for x in 5 %}x{% endfor %}
{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}
{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}
{% for x in l %}{% for y in l %}{% if y == 1 %}{% break %}{% endif %}{{ x }}{{ y }} {% endfor %}{% endfor %}
{% for x in l %}{% break %}{% else %}else{% endfor %}
{% break %}
{% macro f() %}{% break %}{% endmacro %}{% for x in l %}{{ f() }}{% endfor %}
{% for x in [1, [2, [3]]] recursive %}{% if x is number %}{{ x }}{% else %}({{ loop(x) }}){% endif %}{{ loop.depth }}{% endfor %}
{% for x in l %}{{ loop(l) }}{% endfor %}
{% set g = l|map('string') %}{% for x in g %}{{ x }}{% endfor %}|{% for x in g %}{{ x }}{% endfor %}
{% set g = l|map('string') %}{{ g|first }}{{ g|first }}{{ g|list }}{{ g|list }}
{% set g = l|select('odd') %}{{ 3 in g }}{{ 3 in g }}{{ 1 in g }}
{% set x = 1 %}{% for y in l %}{% set x = x + y %}{{ x }} {% endfor %}{{ x }}
{% set ns = namespace(x=1) %}{% for y in l %}{% set ns.x = ns.x + y %}{{ ns.x }} {% endfor %}{{ ns.x }}
{% set ns = namespace() %}{% set ns.a = 1 %}{{ ns.a }}{{ ns.b is defined }}
{% set ns = namespace() %}{% set ns._a = 1 %}
{% set d.x = 1 %}
{% set nope.x = 1 %}
{% set ns = namespace(l=[]) %}{% set ns.l = ns.l + [1] %}{% set ns.l = ns.l + [2] %}{{ ns.l }}
{% if t %}{% set y = 1 %}{% endif %}{{ y }}
{% if no %}{% set y = 1 %}{% endif %}{{ y is defined }}
{% for x in l %}{% if loop.first %}{% set y = x %}{% endif %}{{ y }}{% endfor %}
{% for x in l %}{% set y = x %}{% endfor %}{{ y is defined }}
{% set a, b = 1, 2 %}{{ a }}{{ b }}
{% set a, b = [1, 2, 3] %}
{% set ns = namespace() %}{% set ns.a, b = 1, 2 %}{{ ns.a }}{{ b }}
{% set (a, b) = (1, 2) %}{{ a }}{{ b }}
{% set x = 1, 2 %}{{ x }}
{% set x %}a{{ i }}b{% endset %}[{{ x }}]
{% set x | upper | trim %} a{{ i }}b {% endset %}[{{ x }}]
{% set x %}{% set y = 1 %}{% endset %}{{ y is defined }}
{% set ns = namespace() %}{% set ns.x %}abc{% endset %}{{ ns.x }}
{% set true = 1 %}
{% set x = %}
{% filter upper %}abc{{ s }}{% endfilter %}
{% filter replace('a', 'b') | upper %}aaa{% endfilter %}
{% filter upper %}{% set y = 1 %}{% endfilter %}{{ y is defined }}
{% with %}{% set y = 1 %}{{ y }}{% endwith %}{{ y is defined }}
{% with a = 1, b = i %}{{ a }}{{ b }}{% endwith %}{{ a }}
{% with a = 1, b = a %}{{ b }}{% endwith %}
{% macro f(x, y=2) %}{{ x }}-{{ y }};{% endmacro %}{{ f(1) }}{{ f(1, 3) }}{{ f(y=5, x=4) }}{{ f() }}
{% macro f(x, y=x) %}{{ x }}{{ y }}{% endmacro %}{{ f(1) }}
{% macro f(x) %}{{ x }}{% endmacro %}{{ f(1, 2) }}
{% macro f(x) %}{{ x }}{% endmacro %}{{ f(y=2) }}
{% macro f(x) %}{{ x }}{% endmacro %}{{ f(1, x=2) }}
{% macro f() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, 2, a=3) }}
{% macro f(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, 2, b=3) }}
{% macro f(x=1, y) %}{% endmacro %}
{% macro f() %}{{ i }}{{ later }}{% endmacro %}{% set later = 'L' %}{{ f() }}
{% set x = 1 %}{% macro f() %}{% set x = 2 %}{{ x }}{% endmacro %}{{ f() }}{{ x }}
{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}
{% for x in l %}{% macro f() %}{{ x }}{% endmacro %}{{ f() }}{% endfor %}
{% macro f() %}<{{ caller() }}>{% endmacro %}{% call f() %}body{{ i }}{% endcall %}
{% macro f(l) %}{% for x in l %}<{{ caller(x) }}>{% endfor %}{% endmacro %}{% call(y) f(l) %}{{ y * 2 }}{% endcall %}
{% macro f() %}x{% endmacro %}{% call f() %}body{% endcall %}
{% macro f() %}{{ caller() }}{% endmacro %}{{ f() }}
{% call 5 %}{% endcall %}
{% macro f(x) %}{{ x|upper }}{% endmacro %}{{ f('a') ~ f('b') }}{{ f('c')|length }}
{% macro f() %} a {% endmacro %}[{{ f() }}][{{ f()|trim }}]
{{ f is defined }}{% macro f() %}{% endmacro %}{{ f is defined }}{{ f is callable }}
{% if 0 %}a{% elif '' %}b{% elif 1 %}c{% else %}d{% endif %}
{% if undef %}a{% else %}b{% endif %}
{% if undef.x %}a{% endif %}
{% if a b %}{% endif %}
{% if %}{% endif %}
{% if 1 %}
{% endif %}
{% for x in l %}
{% for x in %}{% endfor %}
{% nope %}
{% include 'x' %}
{% import 'x' as y %}
{% extends 'x' %}
{% raw %}{{ x }} {% y %}{% endraw %}|
{%- raw -%}  {{ x }}  {%- endraw -%}  |
{% raw %}{{ x }}
{% generation %}a{{ i }}{% endgeneration %}
{% generation %}{% set y = 1 %}{% endgeneration %}{{ y is defined }}
{# comment #}a{#- b -#}  c
a {#- comment -#} b
{# unclosed
{{ unclosed
{{ }}
{{ 1, 2 }}
{{ {'a': {'b': 1}} }}
{{ {'a': 1}}}
{{ '}}' }}{{ "%}" }}
{{ 1 -}}   x
x   {{- 1 }}
x   {%- if 1 -%}   y   {%- endif -%}   z
{{-1}}
{{ -1 }}
{{+1}}
{% set x = [1, 2,
 3] %}{{ x
 }}
{% do 1 %}
{{ super() }}
{{ 'a' if t }}{{ 'b' if no }}c
{% set x = 'a' if t else 'b' %}{{ x }}
{% for x in l if x > 1 and x < 3 %}{{ x }}{% endfor %}
{% for x in (l if t else el) %}{{ x }}{% endfor %}
{% for i in range(3) %}{% for j in range(i) %}{{ i }}{{ j }}{{ loop.index }} {% endfor %}{{ loop.index }}{% endfor %}{{ i }}
{% for m in people %}{% if m.name == 'bob' and not loop.last %}{{ loop.index0 }}{% endif %}{% endfor %}
{% set ns = namespace(found=false) %}{% for m in people %}{% if m.on is defined and not m.on %}{% set ns.found = true %}{% endif %}{% endfor %}{{ ns.found }}
{% if people[0]['name'] == 'Ann' %}{% set rest = people[1:] %}{% else %}{% set rest = people %}{% endif %}{{ rest|length }}
{% set x = x|default('new') %}{{ x }}
{% set i = i + 1 %}{{ i }}
{{ l.append(1) }}
{% set _ = l.append(1) %}
{% set _ = d.update({'a': 1}) %}
{% macro json(x) %}{{ x|tojson }}{% endmacro %}{{ json(schema) }}
{% macro walk(x, depth=0) %}{% for k, v in x|dictsort %}{{ '  ' * depth }}{{ k }}:{% if v is mapping %}{{ '\n' ~ walk(v, depth + 1) }}{% else %}{{ v }};{% endif %}{% endfor %}{% endmacro %}{{ walk(schema) }}
{% set ns = namespace(a=1) %}{{ ns }}
{% set ns = namespace() %}{% set ns.self = ns %}{{ ns.self.self is defined }}
{% for k, v in schema.properties.items() %}{{ k }}{{ v.type }}{{ v.enum is defined }}{% if not loop.last %}, {% endif %}{% endfor %}
{% for row in people|groupby('age', default=0) %}{{ row.grouper }}:{{ row.list|map(attribute='name')|join(',') }} {% endfor %}
{% for age, list in people[:3]|groupby('age') %}{{ age }}:{{ list|length }} {% endfor %}
{% for x in l|sort %}{{ x }}{{ ',' if not loop.last }}{% endfor %}
{% for x in l|reverse %}{{ loop.length }}{{ x }}{% endfor %}
{% for x in l %}{% if x %}{% continue %}{% endif %}{% else %}else{% endfor %}
"""

WHITESPACE = [
    "a\n{% if 1 %}\nb\n{% endif %}\nc\n",
    "a\n  {% if 1 %}\n  b\n  {% endif %}\nc\n\n",
    "a  {% if 1 %}  \n b{% endif %}\n\nc",
    "  {% if 1 %}x{% endif %}",
    "\t{%+ if 1 %}x{%+ endif %}",
    "  {%+ if 1 +%}\nx{% endif +%}\n",
    "  {{ 1 }}  \n  {{ 2 }}\n",
    "a\r\n{% if 1 %}\r\nb{% endif %}\r\nc\rd\r",
    "{% if 1 -%}\n\n  x  \n\n{%- endif %}\n y",
    "a\n  {# c #}\n  b {# d #}\ne",
    "a\n  {#- c -#}\n  b",
    "a\n  {#+ c +#}\n  b",
    "  {% raw %}  \n x {% endraw %}  \n y",
    "a\n  {%- raw %} x {% endraw -%}\n  y",
    "a\n  {% raw -%}\n x\n  {%+ endraw +%}\n y",
    "{% for x in l %}\n  {{ x }}\n{% endfor %}\n",
    "{% for x in l -%}\n  {{ x }}\n{%- endfor %}\n",
    "{% for x in l %}  {{- x -}}  {% endfor %}\n\n",
    "\n\n{% set x = 1 %}\n\n{{ x }}\n",
    "{{ 1 }}\n{{ 2 }}\n\n",
    "  {% set x = 1 %}  {% set y = 2 %}\n{{ x }}",
    "{% set x = 1 %}  {% set y = 2 %}\n{{ x }}",
    "{{ 1 }}  {% set y = 2 %}\n{{ y }}",
    "\u3000{% if 1 %}\u3000x\u00a0{%- endif %}",
    "{%- if 1 %} x {%- endif -%} \n\n y",
    "{% if 1 %}{# c #}\n{% endif %}\n",
    "x\n\n    {%- if 1 %}\n    y\n    {%- endif %}\n",
    "{{ 'a\r\nb' }}",
    "a{% if 1 %}\n\nb{% endif %}\n\n",
    "{#\n#}\nx", "{##}x", "{#-#}  x", "a {#-#} x", "{#--#} x", "{", "{ {", "}}", "%}", "#}", "{{{{", "{%", "{{'a'}}{{'b'}}", "",
    "\n", "\n\n", "{{ 1 }}\n", "x {", "{% raw %}{% raw %}{% endraw %}", "{%raw%}{{x}}{%endraw%}", "{{1}}{{-2}}",
    "{% if 1 %}a{%else%}b{%endif%}", "{%if 1%}\n{%-endif%}",
]


def main():
    cases = ["{{ " + line + " }}" for line in EXPRESSIONS.strip("\n").split("\n")]
    text = BLOCKS.strip("\n")
    text = text.replace("[1, 2,\n 3]", "[1, 2,\x00 3]").replace("{{ x\n }}", "{{ x\x00 }}")
    cases += [line.replace("\x00", "\n") for line in text.split("\n")]
    cases += WHITESPACE
    results = [{"template": case, "text": render(case, dict(VARIABLES))} for case in cases]
    folder = pathlib.Path(__file__).parent / "golden"
    with open(folder / "expressions.json", "w", encoding="utf-8") as file:
        cases = ",\n".join(json.dumps(result) for result in results)
        file.write(f'{{"variables": {json.dumps(VARIABLES)},\n"cases": [\n{cases}]}}\n')


if __name__ == "__main__":
    main()
