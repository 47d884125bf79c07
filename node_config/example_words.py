"""Word lists of the example records: names, institutions, majors, courses, occupations.

Universities and colleges are real, with their five-digit codes of the Ministry of Education, so that
code lists and number forms look as they do in practice; no award that the records give them was ever
made. Every other body (assessors, training centres, community colleges) is invented and says so by the
word 示例 in its name.
"""

from __future__ import annotations

from dataclasses import dataclass

PROVINCES = ("shanghai", "jiangsu", "zhejiang", "anhui")

REGIONS = {"shanghai": "310000", "jiangsu": "320000", "zhejiang": "330000", "anhui": "340000"}
"""GB/T 2260 codes."""

PROVINCE_NAMES = {"shanghai": "上海", "jiangsu": "江苏", "zhejiang": "浙江", "anhui": "安徽"}

SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾萧田董潘袁于蒋蔡余杜叶程苏魏吕丁任沈"
    "姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛阎段雷侯龙史陶黎贺顾毛郝龚邵万钱严"
)
"""Common surnames, the commonest first."""

RARE_SURNAMES = ("欧阳", "上官", "诸葛", "\U00020bb7")
"""Two-character surnames, and one character outside the Basic Multilingual Plane."""

GIVEN_MALE = "伟强磊军洋勇杰涛明超刚平辉鹏华飞鑫波斌宇浩凯健俊帆帅旭宁龙林峰建国志文子轩泽博一昊天成"
GIVEN_FEMALE = "芳娜敏静丽艳娟霞秀玲婷雪慧莹洁燕红梅琳晶妍茜倩璐瑶佳怡欣雨涵梦思悦诗蕾颖琪萍蓉薇"


@dataclass(frozen=True, slots=True)
class School:
    """A university or college."""

    code: str
    """Five digits, Ministry of Education."""
    name: str
    renamed: tuple[int, str] | None = None
    """(year, name from that year on): a record bears the name of its time."""

    def name_in(self, year: int) -> str:
        """Return the name that the school had in ``year``."""
        return self.renamed[1] if self.renamed and year >= self.renamed[0] else self.name


UNIVERSITIES: dict[str, tuple[School, ...]] = {
    "shanghai": (
        School("10280", "上海大学"),
        School("10252", "上海理工大学"),
        School("10254", "上海海事大学"),
        School("10270", "上海师范大学"),
        School("10256", "上海电力学院", (2019, "上海电力大学")),
        School("10856", "上海工程技术大学"),
        School("12044", "上海第二工业大学"),
    ),
    "jiangsu": (
        School("10285", "苏州大学"),
        School("10299", "江苏大学"),
        School("10291", "南京工业大学"),
        School("10304", "南通大学"),
        School("11117", "扬州大学"),
        School("11276", "南京工程学院"),
        School("10333", "常熟理工学院"),
    ),
    "zhejiang": (
        School("10337", "浙江工业大学"),
        School("10345", "浙江师范大学"),
        School("10353", "浙江工商大学"),
        School("11646", "宁波大学"),
        School("10351", "温州大学"),
        School("11057", "浙江科技学院", (2024, "浙江科技大学")),
        School("10349", "绍兴文理学院"),
    ),
    "anhui": (
        School("10357", "安徽大学"),
        School("10359", "合肥工业大学"),
        School("10360", "安徽工业大学"),
        School("10364", "安徽农业大学"),
        School("10370", "安徽师范大学"),
        School("10375", "黄山学院"),
        School("10377", "滁州学院"),
    ),
}

COLLEGES: dict[str, tuple[School, ...]] = {
    "shanghai": (
        School("12497", "上海交通职业技术学院"),
        School("12499", "上海电子信息职业技术学院"),
        School("12912", "上海农林职业技术学院"),
        School("11733", "上海出版印刷高等专科学校"),
    ),
    "jiangsu": (
        School("12804", "南京交通职业技术学院"),
        School("12702", "无锡商业职业技术学院"),
        School("12685", "苏州经贸职业技术学院"),
        School("13103", "江苏农林职业技术学院"),
    ),
    "zhejiang": (
        School("12036", "浙江交通职业技术学院"),
        School("12866", "浙江经济职业技术学院"),
        School("12867", "浙江旅游职业学院"),
        School("12864", "浙江经贸职业技术学院"),
    ),
    "anhui": (
        School("12072", "安徽商贸职业技术学院"),
        School("12816", "安徽交通职业技术学院"),
        School("13058", "合肥职业技术学院"),
        School("13846", "安徽国际商务职业学院"),
    ),
}


@dataclass(frozen=True, slots=True)
class Course:
    """A course of a major."""

    title: str
    english: str
    hours: int
    """Class hours in the oldest version of the catalogue."""


@dataclass(frozen=True, slots=True)
class Major:
    """A field of study with courses of its own."""

    title: str
    code: str
    """Code in the national catalogue of majors; "" = the catalogue of the time is not recorded."""
    degree_field: str
    """Two digits after the level digit of GB/T 6864, for example "08" engineering; "" = no degree."""
    letters: str
    """Start of its course codes."""
    path: str
    """Key of `PATHS`: what its graduates go on to."""
    courses: tuple[Course, ...]
    former: str = ""
    """Its title before the catalogue of 2021; "" = the same."""


BACHELOR_MAJORS = (
    Major(
        "计算机科学与技术",
        "080901",
        "08",
        "CS",
        "computing",
        (
            Course("数据结构", "Data Structures", 64),
            Course("操作系统", "Operating Systems", 64),
            Course("计算机网络", "Computer Networks", 48),
            Course("数据库系统原理", "Principles of Database Systems", 48),
        ),
    ),
    Major(
        "机械设计制造及其自动化",
        "080202",
        "08",
        "ME",
        "machinery",
        (
            Course("机械原理", "Theory of Machines", 56),
            Course("工程制图", "Engineering Drawing", 64),
            Course("材料力学", "Mechanics of Materials", 72),
            Course("机械制造工艺学", "Manufacturing Processes", 40),
        ),
    ),
    Major(
        "电气工程及其自动化",
        "080601",
        "08",
        "EE",
        "machinery",
        (
            Course("电路原理", "Electric Circuits", 80),
            Course("电机学", "Electrical Machines", 64),
            Course("自动控制理论", "Automatic Control Theory", 56),
            Course("电力系统分析", "Power System Analysis", 48),
        ),
    ),
    Major(
        "会计学",
        "120203K",
        "12",
        "AC",
        "accounting",
        (
            Course("中级财务会计", "Intermediate Financial Accounting", 64),
            Course("成本会计", "Cost Accounting", 48),
            Course("审计学", "Auditing", 48),
            Course("经济法", "Economic Law", 40),
        ),
    ),
    Major(
        "物流管理",
        "120601",
        "12",
        "LM",
        "logistics",
        (
            Course("供应链管理", "Supply Chain Management", 48),
            Course("运筹学", "Operations Research", 56),
            Course("仓储与配送管理", "Warehousing and Distribution", 36),
            Course("国际货运代理", "International Freight Forwarding", 32),
        ),
    ),
    Major(
        "学前教育",
        "040106",
        "04",
        "PE",
        "childhood",
        (
            Course("学前儿童发展心理学", "Developmental Psychology of Preschool Children", 54),
            Course("学前教育学", "Preschool Pedagogy", 54),
            Course("幼儿园课程与教学", "Kindergarten Curriculum and Teaching", 36),
            Course("儿童文学", "Children's Literature", 32),
        ),
    ),
    Major(
        "护理学",
        "101101",
        "07",
        "NU",
        "nursing",
        (
            Course("护理学基础", "Fundamentals of Nursing", 96),
            Course("内科护理学", "Medical Nursing", 80),
            Course("健康评估", "Health Assessment", 48),
            Course("老年护理学", "Gerontological Nursing", 32),
        ),
    ),
    Major(
        "英语",
        "050201",
        "05",
        "EN",
        "languages",
        (
            Course("综合英语", "Comprehensive English", 72),
            Course("英语口译", "English Interpreting", 36),
            Course("英美文学选读", "Selected Readings in English Literature", 48),
            Course("语言学导论", "Introduction to Linguistics", 32),
        ),
    ),
)

ASSOCIATE_MAJORS = (
    Major(
        "计算机应用技术",
        "510201",
        "",
        "JY",
        "computing",
        (
            Course("网页设计与制作", "Web Design", 64),
            Course("Java程序设计", "Java Programming", 72),
            Course("数据库应用", "Database Applications", 54),
        ),
    ),
    Major(
        "机电一体化技术",
        "460301",
        "",
        "JD",
        "machinery",
        (
            Course("电气控制与PLC", "Electrical Control and PLC", 64),
            Course("机械基础", "Fundamentals of Machinery", 72),
            Course("工业机器人编程", "Industrial Robot Programming", 48),
        ),
    ),
    Major(
        "电子商务",
        "530701",
        "",
        "DS",
        "commerce",
        (
            Course("网店运营", "Online Shop Operation", 54),
            Course("商务数据分析", "Business Data Analysis", 48),
            Course("视觉营销设计", "Visual Marketing Design", 36),
        ),
    ),
    Major(
        "现代物流管理",
        "530802",
        "",
        "WL",
        "logistics",
        (
            Course("物流信息技术", "Logistics Information Technology", 54),
            Course("运输管理实务", "Transport Management Practice", 48),
            Course("物流成本管理", "Logistics Cost Management", 36),
        ),
        former="物流管理",
    ),
    Major(
        "智慧健康养老服务与管理",
        "590302",
        "",
        "YL",
        "care",
        (
            Course("老年照护技术", "Elderly Care Techniques", 72),
            Course("老年心理护理", "Psychological Care of the Elderly", 36),
            Course("老年营养与膳食", "Nutrition of the Elderly", 32),
        ),
        former="老年服务与管理",
    ),
    Major(
        "旅游管理",
        "540101",
        "",
        "LY",
        "tourism",
        (
            Course("导游业务", "Tour Guiding", 54),
            Course("旅行社经营管理", "Travel Agency Management", 48),
            Course("旅游英语", "English for Tourism", 36),
        ),
    ),
)

COMMON_COURSES = (
    Course("大学英语", "College English", 64),
    Course("高等数学", "Advanced Mathematics", 80),
    Course("大学语文", "College Chinese", 36),
    Course("大学体育", "Physical Education", 32),
    Course("计算机应用基础", "Fundamentals of Computing", 50),
)


@dataclass(frozen=True, slots=True)
class Occupation:
    """An occupation with the training that leads to it."""

    title: str
    english: str
    training: str
    levels: tuple[int, ...] = (5, 4, 3, 2, 1)
    """Skill levels of its national standard; 5 is the lowest."""


OCCUPATIONS = {
    occupation.title: occupation
    for occupation in (
        Occupation("电工", "Electrician", "低压电工安全技术培训"),
        Occupation("焊工", "Welder", "焊接与热切割作业安全培训"),
        Occupation("钳工", "Fitter", "装配钳工岗位技能提升培训"),
        Occupation("汽车维修工", "Automobile Repairer", "新能源汽车检修技能提升培训"),
        Occupation("养老护理员", "Elderly Care Worker", "养老护理员岗前培训"),
        Occupation("育婴员", "Infant Carer", "婴幼儿照护技能培训", (5, 4, 3)),
        Occupation("保育师", "Childcare Worker", "保育师岗位能力培训"),
        Occupation("中式烹调师", "Chinese Cuisine Cook", "地方菜烹饪技能培训"),
        Occupation("中式面点师", "Chinese Pastry Cook", "面点制作技能培训"),
        Occupation("茶艺师", "Tea Artist", "茶艺与茶文化培训"),
        Occupation("美容师", "Beautician", "美容服务技能培训"),
        Occupation("美发师", "Hairdresser", "美发造型技能培训"),
        Occupation("电子商务师", "E-commerce Specialist", "电子商务运营技能培训"),
        Occupation("互联网营销师", "Internet Marketing Specialist", "直播销售技能培训"),
        Occupation("快递员", "Courier", "快递服务规范培训"),
        Occupation("企业人力资源管理师", "Human Resources Manager", "人力资源管理实务培训", (4, 3, 2, 1)),
    )
}

X_CERTIFICATES = {
    "Web前端开发": ("Web Front-end Development", 2020),
    "物流管理": ("Logistics Management", 2020),
    "老年照护": ("Elderly Care", 2020),
    "智能新能源汽车": ("Intelligent New-energy Vehicles", 2020),
    "电子商务数据分析": ("E-commerce Data Analysis", 2021),
    "网店运营推广": ("Online Shop Operation and Promotion", 2021),
    "工业机器人操作与运维": ("Industrial Robot Operation and Maintenance", 2021),
    "云计算平台运维与开发": ("Cloud Platform Operation and Development", 2021),
    "失智老年人照护": ("Care of Elderly People with Dementia", 2021),
    "智能财税": ("Intelligent Finance and Taxation", 2021),
    "幼儿照护": ("Young Children Care", 2021),
    "研学旅行策划与管理": ("Study Travel Planning and Management", 2021),
}
"""Title -> (English title, first year in which these records show it)."""

QUALIFICATIONS = {
    "高级中学教师资格证书": ("教师资格", "Teacher Qualification, Senior Secondary School"),
    "幼儿园教师资格证书": ("教师资格", "Teacher Qualification, Kindergarten"),
    "会计专业技术资格": ("专业技术人员", "Accounting Professional"),
    "社会工作者职业资格": ("专业技术人员", "Social Worker"),
    "护士执业资格": ("专业技术人员", "Nurse Practising Qualification"),
    "注册安全工程师": ("专业技术人员", "Registered Safety Engineer"),
    "经济专业技术资格": ("专业技术人员", "Economics Professional"),
    "计算机技术与软件专业技术资格": ("专业技术人员", "Computer Technology and Software Professional"),
    "导游资格": ("专业技术人员", "Tour Guide"),
    "消防设施操作员": ("技能人员", "Fire Protection Facility Operator"),
    "特种作业人员": ("技能人员", "Special Operations Worker"),
}
"""Title -> (group, English title)."""

QUALIFICATION_BODIES = {"教师资格": 9, "专业技术人员": 10, "技能人员": 11}
"""Group -> number of its invented examination centre in every province."""


@dataclass(frozen=True, slots=True)
class Path:
    """What people of one background go on to; titles of the tables above."""

    x_certificates: tuple[str, ...]
    qualifications: tuple[str, ...]
    occupations: tuple[str, ...]


PATHS = {
    "computing": Path(
        ("Web前端开发", "云计算平台运维与开发"),
        ("计算机技术与软件专业技术资格",),
        ("电子商务师", "互联网营销师"),
    ),
    "machinery": Path(
        ("工业机器人操作与运维", "智能新能源汽车"),
        ("注册安全工程师", "特种作业人员", "消防设施操作员"),
        ("电工", "焊工", "钳工"),
    ),
    "automobile": Path(("智能新能源汽车",), ("特种作业人员",), ("汽车维修工", "电工")),
    "accounting": Path(("智能财税",), ("会计专业技术资格", "经济专业技术资格"), ("企业人力资源管理师",)),
    "logistics": Path(("物流管理",), ("经济专业技术资格",), ("快递员", "电子商务师")),
    "commerce": Path(
        ("电子商务数据分析", "网店运营推广"), ("经济专业技术资格",), ("电子商务师", "互联网营销师")
    ),
    "childhood": Path(("幼儿照护",), ("幼儿园教师资格证书",), ("保育师", "育婴员")),
    "nursing": Path(("老年照护",), ("护士执业资格",), ("养老护理员", "育婴员")),
    "care": Path(("老年照护", "失智老年人照护"), ("社会工作者职业资格",), ("养老护理员",)),
    "languages": Path(
        ("研学旅行策划与管理",), ("高级中学教师资格证书", "导游资格"), ("茶艺师", "企业人力资源管理师")
    ),
    "tourism": Path(("研学旅行策划与管理",), ("导游资格",), ("茶艺师", "中式面点师", "中式烹调师")),
    "services": Path((), ("社会工作者职业资格",), ("美容师", "美发师", "中式烹调师", "中式面点师")),
}

SECONDARY_SUBJECTS = {
    "机电技术应用": "machinery",
    "汽车运用与维修": "automobile",
    "电子商务": "commerce",
    "护理": "nursing",
    "美发与形象设计": "services",
}
"""Subjects of secondary vocational schools and the key of `PATHS` of each."""

TRAININGS = (
    "专业技术人员继续教育公需科目",
    "数字素养与技能提升培训",
    "安全生产管理人员培训",
    "退役军人适应性培训",
    "乡村振兴带头人培训",
    "创业培训（SYB）",
)

LEISURE = (
    "书法入门",
    "太极拳",
    "手机摄影",
    "民乐合奏",
    "家庭园艺",
    "智能手机使用",
    "面塑与剪纸",
    "合唱",
)
