-- What the example department's database looks like. No person in it exists.
CREATE TABLE department (id INTEGER PRIMARY KEY, name TEXT NOT NULL, uscc TEXT NOT NULL);
CREATE TABLE certificate_catalogue (code TEXT PRIMARY KEY, name TEXT NOT NULL, name_en TEXT NOT NULL, kind TEXT NOT NULL, department_id INTEGER NOT NULL, regulation TEXT NOT NULL);
CREATE TABLE holder (holder_key INTEGER PRIMARY KEY, id_card TEXT NOT NULL);
CREATE TABLE issued (serial TEXT PRIMARY KEY, code TEXT NOT NULL, holder_key INTEGER NOT NULL, holder_name TEXT NOT NULL, issued_on TEXT NOT NULL, valid_until TEXT, state TEXT NOT NULL);
INSERT INTO department VALUES (1, '浙江示例住房和城乡建设厅', '52990033EX3309013G');
INSERT INTO department VALUES (2, '浙江示例交通运输厅', '52990033EX3309021B');
INSERT INTO department VALUES (3, '浙江示例应急管理厅', '52990033EX330903X3');
INSERT INTO certificate_catalogue VALUES ('BDB-CON-01', '建筑施工企业项目负责人安全考核证', 'Safety certificate of project leaders', '职业资格证书', 1, '建筑施工企业安全管理规定（示例）');
INSERT INTO certificate_catalogue VALUES ('BDB-TRA-04', '道路货物运输驾驶员从业资格证', 'Qualification of road freight drivers', '职业资格证书', 2, '道路运输从业人员管理规定（示例）');
INSERT INTO certificate_catalogue VALUES ('BDB-EME-02', '低压电工作业培训证明', 'Training in low-voltage work', '培训项目', 3, '特种作业培训考核办法（示例）');
INSERT INTO holder VALUES (71, '990099199604121228');
INSERT INTO issued VALUES ('BDB-2023-990001', 'BDB-TRA-04', 71, '林思雨', '2023-05-18', '2029-05-17', '有效');
INSERT INTO issued VALUES ('BDB-2024-990002', 'BDB-EME-02', 71, '林思雨', '2024-03-02', NULL, '有效');
